"""Films that are disturbed as instruments and programs do, and what is left of the image."""
