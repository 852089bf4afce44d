"""Image and picture files."""
