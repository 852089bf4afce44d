"""Open a network on the CPU: OpenVINO where it works, ONNX Runtime elsewhere."""

from __future__ import annotations

import platform
from pathlib import Path

from smlm_pipeline.compute.network import Network
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import cpu_precision
from smlm_pipeline.settings import check_precision

X86_64 = {"x86_64", "amd64"}
"""Names of the processors for which OpenVINO is used, in lower case."""


def open_network(path: Path, *, precision: str | None = None, threads: int = 0) -> Network:
    """Open a network in the fastest engine of this machine.

    Its ``engine`` states what was taken, and why if that is not OpenVINO in the precision that
    was asked for.

    Parameters
    ----------
    path : Path
        ``model.onnx`` of the model repository.
    precision : str, optional
        One of ``settings.PRECISIONS``; by default that of the network's card, `cpu_precision`.
        Where bfloat16 is not possible, float32 is taken.
    threads : int
        Threads; 0 takes all CPUs that this process may run on.

    Raises
    ------
    SettingError
        If there is no such precision.
    ContractError
        If the file is damaged, or its tensors are not those of the contract.
    ModuleNotFoundError
        If neither OpenVINO nor ONNX Runtime is installed.
    """
    check_precision(precision)
    bf16 = (precision or cpu_precision(path)) == "bf16"
    machine = platform.machine()
    if machine.lower() not in X86_64:
        return _onnx_network(path, threads, f"OpenVINO is used on x86-64 only, this is {machine}")
    try:
        # OpenVINO is an extra; clients of a server have neither engine.
        from smlm_pipeline.compute.openvino_network import OpenvinoNetwork

        return OpenvinoNetwork(path, bf16=bf16, threads=threads)
    except ModuleNotFoundError:
        return _onnx_network(path, threads, "OpenVINO is not installed (smlm-recon[local])")
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        return _onnx_network(path, threads, f"OpenVINO failed ({reason})")


def _onnx_network(path: Path, threads: int, reason: str) -> Network:
    # ONNX Runtime is an extra, and an OpenVINO that works does not need it.
    from smlm_pipeline.compute.onnx_network import REFUSALS, OnnxNetwork

    note = f"{reason}; ONNX Runtime computes the network, in float32"
    try:
        return OnnxNetwork(path, intra_op_threads=threads, note=note)
    except REFUSALS as error:
        raise ContractError(
            f"{path} is damaged or no network: {' '.join(str(error).split())[:200]}; publish it "
            "again, or name another repository with --model-repository"
        ) from error
