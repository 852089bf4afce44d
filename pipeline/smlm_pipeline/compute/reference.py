"""``reference.npz``: reference frames, and ONNX Runtime's answers to them on a CPU.

The file is beside ``model.onnx`` and states the hash of that network, so that a TensorRT plan is
judged by the answers of its own network, also on machines without ONNX Runtime.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import REFERENCE_FILE, network_sha256

PRECISIONS = ("fp32", "fp16")
"""Precisions inside a network's file; its answers are always float32."""

TOLERANCE = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 1e-2}
"""Largest accepted `difference` of other arithmetic from the network in FP32.

Estimates, not yet measured on a GPU. That of FP32 is the accepted difference of an export from
Keras. Factors in TF32 and all values in FP16 have 11 significant bits; in ONNX Runtime the
networks that ship differ by 2e-3 in FP16, and a GPU adds up in another order."""

_SMALLEST_SCALE = 1e-6
"""Divisor for a channel that is zero everywhere."""


@dataclass(frozen=True)
class Reference:
    """Frames (N, H, W), their levels (N, 2), and the network's answers (N, C, H', W').

    Frames are uint16 in ADU, levels float32 in ADU, answers float32.
    """

    network_sha256: str
    precision: str
    frames_adu: NDArray[np.uint16]
    levels_adu: NDArray[np.float32]
    answers: NDArray[np.float32]


def difference(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Compare answers (N, C, H, W) with the expected ones.

    Returns
    -------
    float
        The largest difference, as a share of the largest expected value of the same channel;
        infinite if the shapes differ, and not a number if an answer is none.
    """
    if answers.shape != expected.shape:
        return float("inf")
    scale = np.abs(expected).max(axis=(0, 2, 3), keepdims=True)
    shares = np.abs(answers - expected) / np.maximum(scale, np.float32(_SMALLEST_SCALE))
    return float(shares.max())


def write_reference(file: Path, reference: Reference) -> None:
    """Write ``reference.npz``; the same content gives the same bytes."""
    with file.open("wb") as stream:
        np.savez_compressed(
            stream,
            network_sha256=np.array(reference.network_sha256),
            precision=np.array(reference.precision),
            frames_adu=reference.frames_adu,
            levels_adu=reference.levels_adu,
            answers=reference.answers,
        )


def read_reference(network_file: Path, spec: contract.ModelSpec) -> Reference:
    """Read the reference beside a network, and check that it is of this network.

    Parameters
    ----------
    network_file : Path
        ``model.onnx`` of a version.
    spec : ModelSpec
        The model that the network serves as.

    Raises
    ------
    ContractError
        If there is none, it is of another network, or it does not fit the contract.
    """
    file = network_file.with_name(REFERENCE_FILE)
    remedy = f"write it again with 'recon-train reference {network_file}'"
    reference = _stored(file, remedy)
    expected = network_sha256(network_file)
    if reference.network_sha256 != expected:
        raise ContractError(
            f"{file} is about the network {reference.network_sha256}, and {network_file.name} "
            f"beside it is {expected}; {remedy}"
        )
    if not _fits(reference, spec):
        raise ContractError(
            f"{file} holds frames {_kind(reference.frames_adu)}, levels "
            f"{_kind(reference.levels_adu)} and answers {_kind(reference.answers)} in "
            f"{reference.precision}, which {spec.name} does not take or give; {remedy}"
        )
    return reference


def _stored(file: Path, remedy: str) -> Reference:
    """Read a file, of whichever network."""
    if not file.exists():
        raise ContractError(f"no {file}, by which a plan is judged; {remedy}")
    try:
        with file.open("rb") as stream, np.load(stream) as stored:
            return Reference(
                str(stored["network_sha256"]),
                str(stored["precision"]),
                stored["frames_adu"],
                stored["levels_adu"],
                stored["answers"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ContractError(f"{file} cannot be read ({error}); {remedy}") from error


def _fits(reference: Reference, spec: contract.ModelSpec) -> bool:
    frames_adu = reference.frames_adu
    if frames_adu.dtype != np.uint16 or frames_adu.ndim != 3 or not frames_adu.size:
        return False
    count, height, width = frames_adu.shape
    answer = contract.ensemble_of(spec.name).answer
    answered = (count, answer.channels, answer.zoom * height, answer.zoom * width)
    return (
        reference.precision in PRECISIONS
        and count <= answer.frames_most(height, width)
        and _is_float32(reference.levels_adu, (count, 2))
        and _is_float32(reference.answers, answered)
    )


def _is_float32(array: NDArray[Any], shape: tuple[int, ...]) -> bool:
    return bool(array.dtype == np.float32) and array.shape == shape


def _kind(array: NDArray[Any]) -> str:
    """Shape and type of an array, for messages."""
    return f"{array.shape} {array.dtype}"
