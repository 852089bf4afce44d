"""Parts of a film: sum one of them into a file, and merge all of them into the image."""
