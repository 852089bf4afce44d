"""Estimate optics, sample and camera from a film, for a preset to train by."""
