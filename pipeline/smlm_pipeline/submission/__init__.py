"""A submission: a film's file in; images, files beside them and a report out."""
