"""From detections to molecules and their tables."""
