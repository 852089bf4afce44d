"""The client side of Triton's gRPC protocol."""
