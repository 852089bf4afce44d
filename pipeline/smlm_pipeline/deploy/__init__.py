"""What runs before Triton starts: staging, TensorRT plans, memory pools."""
