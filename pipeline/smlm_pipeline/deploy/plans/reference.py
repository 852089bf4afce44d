"""``reference.npz``: a few frames and what ONNX Runtime answers to them on a CPU.

It lies beside ``model.onnx`` and names that network by its hash, so that a plan is
judged by its own network's answers, on machines that have no ONNX Runtime too.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.deploy.plans.key import sha256
from smlm_pipeline.errors import ContractError

REFERENCE_FILE = "reference.npz"

PRECISIONS = ("fp32", "fp16")
"""What the arithmetic inside a network's file may be; its ends are always float32."""


@dataclass(frozen=True)
class Reference:
    """Frames (N, 2, H, W) and the network's answers (N, C, H', W'), float32.

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
    """The reference beside a network, if it is about this very network.

    Parameters
    ----------
    network_file : Path
        ``model.onnx`` of a version.
    spec : ModelSpec
        The model that the network serves as.

    Raises
    ------
    ContractError
        If there is none, it is about another network, or it does not fit the contract.
    """
    file = network_file.with_name(REFERENCE_FILE)
    remedy = f"write it anew with 'recon-train reference {network_file}'"
    found = _stored(file, remedy)
    network_sha256 = sha256(network_file.read_bytes())
    if found.network_sha256 != network_sha256:
        raise ContractError(
            f"{file} is about the network {found.network_sha256}, and {network_file.name} beside "
            f"it is {network_sha256}; {remedy}"
        )
    if not _fits(found, spec):
        raise ContractError(
            f"{file} holds frames {found.normalized.shape} and answers {found.answers.shape} "
            f"{found.answers.dtype} in {found.precision}, which {spec.name} does not take or "
            f"give; {remedy}"
        )
    return found


def _stored(file: Path, remedy: str) -> Reference:
    """What a file holds, whatever it is about."""
    if not file.exists():
        raise ContractError(f"no {file}, which a plan is judged by; {remedy}")
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


def _fits(found: Reference, spec: contract.ModelSpec) -> bool:
    count, channels = found.normalized.shape[:2] if found.normalized.ndim == 4 else (0, 0)
    answers = found.answers
    return (
        found.precision in PRECISIONS
        and 1 <= count <= spec.max_batch_size
        and channels == spec.inputs[0].dims[0]
        and answers.dtype == np.float32
        and answers.ndim == 4
        and answers.shape[:2] == (count, spec.outputs[0].dims[0])
    )
