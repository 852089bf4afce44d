"""Resolution of an image: Fourier ring correlation and decorrelation analysis; NumPy alone."""
