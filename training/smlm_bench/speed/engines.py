"""Names of everything that is timed, and a film's path through the client."""

from __future__ import annotations

from pathlib import Path

from smlm_pipeline.engines.opening import EngineChoice
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.kept_memory import keep_freed_memory
from smlm_pipeline.settings import REFINE_OFF, Settings

ONNX, OPENVINO_F32, OPENVINO_BF16 = "ONNX Runtime", "OpenVINO f32", "OpenVINO bf16"

OPENVINO_LAYERS = "OpenVINO, layers alone"
"""Up to the logits, which are no detections yet: what our engine asks of OpenVINO."""

KERAS = "Keras"

BARE = (ONNX, OPENVINO_F32, OPENVINO_BF16)
"""Engines that are called with frames in memory; the fastest is the limit of the two below."""

LOCAL, TRITON = "local engine", "Triton"
"""The path of ``recon-client submit``, from the opened film to the image in memory."""

CLIENT, SERVER = "Triton, the client", "Triton, the server"

PEER = "deep-storm"
"""The network that the others are compared with."""


def titled(network: str, engine: str, way: str = "") -> str:
    """Put the names of a network, its engine and the way it is called into one line."""
    return ", ".join(each for each in (network, engine, way) if each)


def reconstruct_film(film: Path, engine: EngineChoice, model: str) -> None:
    """Reconstruct a film as ``recon-client submit`` does, and drop the image.

    Parameters
    ----------
    film : Path
        The film's file.
    engine : Engine or Transport
        The open engine.
    model : str
        The ensemble.
    """
    keep_freed_memory()  # as the command does
    with open_film(film) as opened:
        reconstruct(opened, engine, Settings(model=model, refine=REFINE_OFF))
