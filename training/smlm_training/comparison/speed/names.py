"""What ``recon-bench speed`` calls that which it measures."""

from __future__ import annotations

LIMIT, SIDE_BY_SIDE = "ONNX Runtime, direct", "ONNX Runtime, frames side by side"
LIMITS = (LIMIT, SIDE_BY_SIDE)
"""Nothing but ONNX Runtime: a frame in all threads, or as many frames as threads, which is how
the client's network runs. The faster one of them is the limit of what can be reached."""

LOCAL, TRITON, KERAS = "local engine", "Triton", "Keras"
PEER_KERAS, PEER_ONNX = "Deep-STORM, Keras", "Deep-STORM, ONNX Runtime"
CLIENT, SERVER = "Triton, the client", "Triton, the server"


def titled(name: str, batch: int) -> str:
    """A name, with the frames given at once if the caller says how many."""
    return f"{name}, batches of {batch}" if batch else name
