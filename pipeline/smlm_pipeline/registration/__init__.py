"""Registration of two images of one sample, or of beads; NumPy alone."""
