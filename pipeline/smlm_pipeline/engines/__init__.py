"""What sums a chunk: Triton servers, an embedded server, or this process."""
