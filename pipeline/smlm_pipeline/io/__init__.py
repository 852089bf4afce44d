"""Films in, images out: one file for each format, and where the sum of an image is kept."""
