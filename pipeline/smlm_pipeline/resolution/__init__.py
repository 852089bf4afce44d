"""How good an image is: ring correlation, decorrelation, error against the wide field; NumPy."""
