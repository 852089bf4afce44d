"""Names of everything that is timed, and a film's path through the client."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

LIMIT, SIDE_BY_SIDE = "ONNX Runtime, direct", "ONNX Runtime, frames side by side"

OPENVINO_F32, OPENVINO_BF16 = "OpenVINO f32, direct", "OpenVINO bf16, direct"

LIMITS = (LIMIT, SIDE_BY_SIDE, OPENVINO_F32, OPENVINO_BF16)
"""The bare network: ONNX Runtime with a frame in all threads, or as many frames as threads, and
OpenVINO, which runs it in the client and the server. The fastest is the limit of what can be
reached."""

LOCAL, TRITON, KERAS = "local engine", "Triton", "Keras"

PEER_KERAS, PEER_ONNX = "Deep-STORM, Keras", "Deep-STORM, ONNX Runtime"

CLIENT, SERVER = "Triton, the client", "Triton, the server"


def titled(name: str, batch: int) -> str:
    """Append the size of a batch, in frames, to a name; 0 where the engine cuts the film."""
    return f"{name}, batches of {batch}" if batch else name


def reconstruct_film(film: Path, transport: Transport) -> None:
    """Reconstruct a film as ``recon-client submit`` does, and drop the image.

    Parameters
    ----------
    film : Path
        The film's file.
    transport : Transport
        The engine.
    """
    with open_film(film) as opened:
        reconstruct(opened, transport, Settings())
