"""Drift of the sample, estimated from molecules; NumPy alone."""
