"""Super-resolution reconstruction of single-molecule films through NVIDIA Triton."""

__version__ = "0.1.0"
