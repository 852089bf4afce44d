"""What the methods are called; light, so that ``--help`` need not load them."""

from __future__ import annotations

CLASSICAL_NAMES = ("blank", "widefield", "single-emitter", "cel0", "falcon")
"""Methods without a network."""

NETWORKS = ("deep-storm", "unet-interpolated", "unet", "unet-fast")
"""Those compared by default; any other of ``recon-train fit`` can be named, too."""

RUNTIMES = {
    "keras": "Keras",
    "onnx": "ONNX Runtime, in process",
    "triton": "Triton, embedded, CPU",
    "server": "Triton at --server",
}
"""Behind the @ of a network's name: what runs it."""

PEER = "deep-storm@keras"
"""What speeds are relative to: Deep-STORM as its authors run it."""
