"""The engines that sum a chunk: running Triton servers, an embedded server, or this process."""
