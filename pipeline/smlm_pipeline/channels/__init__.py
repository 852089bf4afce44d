"""Two channels of one film: a run for each, and one image of both."""
