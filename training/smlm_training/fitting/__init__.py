"""Training: data, losses, the loop, and what a run leaves behind."""
