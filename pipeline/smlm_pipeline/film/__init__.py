"""A film: opened, selected, read a few frames at a time, and surveyed."""
