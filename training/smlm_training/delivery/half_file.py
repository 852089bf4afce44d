"""A network's variant in FP16 beside it, for servers on a GPU.

TensorRT computes in the types of the file, and a server's image has nothing that could convert
one. So the file is made here, and only where it answers nearly as the network does.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import TOLERANCE, Reference, difference, read_reference
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import HALF_FILE
from smlm_training.delivery.half_precision import halved


@dataclass(frozen=True)
class HalfFile:
    """The variant in FP16, and its `difference` from the network on the reference frames.

    Without a file, ``reason`` says why there is none.
    """

    path: Path | None = None
    difference: float | None = None
    reason: str = ""


def write_half(network_file: Path) -> HalfFile:
    """Write ``model.fp16.onnx`` beside a network, or remove it if its answers are not close enough.

    Parameters
    ----------
    network_file : Path
        A network of ``recon-train export``, with its reference beside it.

    Raises
    ------
    ContractError
        If the reference is missing, or of another network.
    """
    answer = OnnxNetwork(network_file, intra_op_threads=1).answer
    spec = next(iter(contract.networks_that_answer(answer).values()))
    reference = read_reference(network_file, spec)
    half = _written(network_file, reference)
    if half.path is None:
        network_file.with_name(HALF_FILE).unlink(missing_ok=True)
    return half


def _written(network_file: Path, reference: Reference) -> HalfFile:
    if reference.precision != "fp32":
        return HalfFile(reason="the network itself computes in FP16")
    try:
        network = halved(onnx.load(network_file))
    except ContractError as error:
        return HalfFile(reason=str(error))
    with tempfile.TemporaryDirectory(dir=network_file.parent, prefix=".halving-") as folder:
        staged = Path(folder) / HALF_FILE
        onnx.save(network, staged)
        answers = OnnxNetwork(staged, intra_op_threads=1).detect(
            reference.frames_adu, reference.levels_adu
        )
        found, allowed = difference(answers, reference.answers), TOLERANCE["fp16"]
        if not found <= allowed:
            reason = (
                f"in FP16 its answers differ by {found:.1e} of a channel's largest value; "
                f"expected at most {allowed:.0e}"
            )
            return HalfFile(difference=found, reason=reason)
        path = staged.replace(network_file.with_name(HALF_FILE))
    return HalfFile(path, found)
