"""Score an image and its localisations against the truth."""
