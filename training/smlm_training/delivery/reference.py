"""A network's answers to a few frames, kept beside it to check its TensorRT plans.

``recon-client plan build`` compares a plan with them; see ``smlm_pipeline.compute.reference``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import Reference, write_reference
from smlm_pipeline.errors import ContractError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import REFERENCE_FILE, network_sha256
from smlm_training.delivery.candidate import RUNTIME_ERRORS
from smlm_training.simulation import presets

_FRAMES, _HEIGHT_PX, _WIDTH_PX = 4, 48, 40
"""Number and size of the reference frames: not square, so that no two axes are confused."""

_PEDESTAL_ADU = 60_000
"""Added to every other frame and its background: a plan that normalises in FP16 fails by it."""

_ANSWER_VALUES_MAX = 1 << 17
"""Most numbers kept of a network's answers: half a megabyte before compression."""


def make_reference(network_file: Path) -> Path:
    """Write ``reference.npz`` beside a network; the path of it.

    Parameters
    ----------
    network_file : Path
        An exported network, in any precision.

    Raises
    ------
    ContractError
        If ONNX Runtime cannot read it, or its tensors are not the contract's.
    """
    try:
        network = OnnxNetwork(network_file, intra_op_threads=1)
    except RUNTIME_ERRORS as error:
        raise ContractError(
            f"{network_file} is not a network that ONNX Runtime can read ({error}); expected one "
            "of 'recon-train export'"
        ) from error
    values = network.answer.channels * network.answer.zoom**2 * _HEIGHT_PX * _WIDTH_PX
    count = min(max(_ANSWER_VALUES_MAX // values, 1), _FRAMES)
    frames_adu, levels_adu = _frames()
    frames_adu, levels_adu = frames_adu[:count], levels_adu[:count]
    reference = Reference(
        network_sha256(network_file),
        precision_of(network_file.read_bytes()),
        frames_adu,
        levels_adu,
        network.detect(frames_adu, levels_adu),
    )
    file = network_file.with_name(REFERENCE_FILE)
    write_reference(file, reference)
    return file


def precision_of(network: bytes) -> str:
    """Return "fp16" if any weight of an ONNX file has half precision, else "fp32"."""
    graph = onnx.load_from_string(network).graph
    halves = (weight.data_type == onnx.TensorProto.FLOAT16 for weight in graph.initializer)
    return "fp16" if any(halves) else "fp32"


@cache
def _frames() -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Frames of filaments in ADU, and their levels."""
    film = presets.preset_film(
        "microtubules", seed=2, frames=16, height_px=_HEIGHT_PX, width_px=_WIDTH_PX
    )
    every = 16 // _FRAMES
    shown_adu, levels_adu = prepared(film.frames_adu)
    frames_adu, levels_adu = shown_adu[::every].copy(), levels_adu[::every].copy()
    frames_adu[::2] += np.uint16(_PEDESTAL_ADU)
    levels_adu[::2, 0] += _PEDESTAL_ADU
    return frames_adu, levels_adu
