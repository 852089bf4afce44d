"""What ``recon-bench speed`` calls that which it measures."""

from __future__ import annotations

LIMIT, LOCAL, TRITON, KERAS = "ONNX Runtime, direct", "local engine", "Triton", "Keras"
PEER_KERAS, PEER_ONNX = "Deep-STORM, Keras", "Deep-STORM, ONNX Runtime"
CLIENT, SERVER = "Triton, the client", "Triton, the server"


def titled(name: str, batch: int) -> str:
    """A name, with the frames given at once if the caller says how many."""
    return f"{name}, batches of {batch}" if batch else name
