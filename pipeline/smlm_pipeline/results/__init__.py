"""What a run leaves on the disk: images, and the files beside them."""
