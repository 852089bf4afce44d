"""``reference.npz``: reference frames, and ONNX Runtime's answers to them on a CPU.

The file is beside ``model.onnx`` and states the hash of that network, so that a TensorRT plan is
judged by the answers of its own network, also on machines without ONNX Runtime.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import REFERENCE_FILE, network_sha256

PRECISIONS = ("fp32", "fp16")
"""Precisions inside a network's file; its inputs and outputs are always float32."""


@dataclass(frozen=True)
class Reference:
    """Frames (N, 1, H, W) and the network's answers (N, C, H', W'), float32.

    The frames are numbers that float16 holds exactly, which is how they are kept.
    """

    network_sha256: str
    precision: str
    normalized: NDArray[np.float32]
    answers: NDArray[np.float32]


def write_reference(file: Path, reference: Reference) -> None:
    """Write ``reference.npz``; the same content gives the same bytes."""
    with file.open("wb") as stream:
        np.savez_compressed(
            stream,
            network_sha256=np.array(reference.network_sha256),
            precision=np.array(reference.precision),
            normalized=reference.normalized.astype(np.float16),
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
            f"{file} holds frames {reference.normalized.shape} and answers "
            f"{reference.answers.shape} {reference.answers.dtype} in {reference.precision}, which "
            f"{spec.name} does not take or give; {remedy}"
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
                stored["normalized"].astype(np.float32),
                stored["answers"],
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ContractError(f"{file} cannot be read ({error}); {remedy}") from error


def _fits(reference: Reference, spec: contract.ModelSpec) -> bool:
    count, channels = reference.normalized.shape[:2] if reference.normalized.ndim == 4 else (0, 0)
    answers = reference.answers
    return (
        reference.precision in PRECISIONS
        and 1 <= count <= spec.max_batch_size
        and channels == spec.inputs[0].dims[0]
        and answers.dtype == np.float32
        and answers.ndim == 4
        and answers.shape[:2] == (count, spec.outputs[0].dims[0])
    )
