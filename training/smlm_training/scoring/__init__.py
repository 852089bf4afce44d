"""How good an image and its molecules are, beside the truth."""
