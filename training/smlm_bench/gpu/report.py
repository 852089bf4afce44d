"""Findings of ``recon-bench gpu-check``, as one Markdown file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smlm_bench.console import grid
from smlm_bench.gpu.load import AS_SIZED, LoadResult
from smlm_bench.gpu.server import ServerSpeed


@dataclass
class Findings:
    """Everything that was checked or measured; what is empty was not.

    ``ended_by`` is the error that the check ended with, ``logs`` the ends of the servers' logs.
    """

    machine: str
    ended_by: str = ""
    kernels: Sequence[Mapping[str, Any]] = ()
    against_cpu: dict[str, tuple[float, float]] = field(default_factory=dict)
    plans: list[Mapping[str, Any]] = field(default_factory=list)
    gpu_memory_bytes: dict[str, float] = field(default_factory=dict)
    speeds: list[ServerSpeed] = field(default_factory=list)
    loads: list[LoadResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)

    def failures(self) -> list[str]:
        """List the failures, one sentence each."""
        failures = [f"the check ended early: {self.ended_by}"] if self.ended_by else []
        failures += [
            f"{each['kernel']}, {each['size_px']} px, {each['frames']} frames: not NumPy's bits"
            for each in self.kernels
            if not each["same_bits"]
        ]
        failures += [
            f"{model}: {nmse:.2f} % NMSE between the GPU's image and the CPU's; expected below 1"
            for model, (nmse, _) in self.against_cpu.items()
            if not nmse < 1
        ]
        failures += [
            f"{each.model}, CUDA pool {each.pool}: {each.wrong} answers under load differ from the "
            "ones alone"
            for each in self.loads
            if each.wrong
        ]
        return failures + [
            f"{each.model}: {each.refused} requests were refused, for which the CUDA pool should "
            "have room"
            for each in self.loads
            if each.refused and each.pool == AS_SIZED
        ]


def as_markdown(findings: Findings) -> str:
    """The report; it says first what failed and what was left out."""
    failures = findings.failures()
    parts = [
        "# GPU check",
        findings.machine,
        "## Result",
        "\n".join(f"- FAILED: {each}" for each in failures) or "Nothing that was checked failed.",
        "\n".join(f"- left out: {each}" for each in findings.left_out) or "Nothing was left out.",
    ]
    return "\n\n".join([*parts, *_sections(findings), *_logs(findings)]) + "\n"


def _sections(findings: Findings) -> list[str]:
    """Headline and table of everything that was findings."""
    parts: list[str] = []
    if findings.plans:
        parts += ["## TensorRT plans", _plans(findings.plans)]
    if findings.against_cpu:
        rows = [(model, f"{n:.4f}", f"{s:.4f}") for model, (n, s) in findings.against_cpu.items()]
        title = "## The demo film, against the server on the CPU"
        parts += [title, grid(("ensemble", "NMSE, %", "sum, GPU / CPU"), rows)]
    if findings.loads:
        parts += ["## Under load, against the same requests alone", _loads(findings.loads)]
    if findings.gpu_memory_bytes:
        used = [
            (model, f"{used_bytes / 1e9:.2f}")
            for model, used_bytes in findings.gpu_memory_bytes.items()
        ]
        title = "## Memory of the GPU in use after all was measured, other programs included"
        parts += [title, grid(("ensemble", "GB"), used)]
    if findings.speeds:
        parts += ["## Through the server", _speeds(findings.speeds)]
    if findings.kernels:
        parts += ["## Kernels and their copies, without a server", _kernels(findings.kernels)]
    return parts


def _logs(findings: Findings) -> list[str]:
    return [
        part
        for name, log in findings.logs.items()
        for part in (f"## End of the log of {name}", f"```\n{log}\n```")
    ]


def _loads(loads: Sequence[LoadResult]) -> str:
    heads = ("ensemble", "CUDA pool", "requests", "wrong answers", "refused")
    rows = [
        (each.model, each.pool, str(each.requests), str(each.wrong), str(each.refused))
        for each in loads
    ]
    return grid(heads, rows)


def _plans(plans: Sequence[Mapping[str, Any]]) -> str:
    heads = (
        *("network", "precision", "built in, s", "largest difference", "allowed", "plan, MB"),
        "activations of each profile, GB",
    )
    rows = [
        (
            *(str(each["model"]), str(each["key"]["precision"]), f"{each['build_s']:.0f}"),
            f"{each['largest_difference']:.1e}",
            *(f"{each['tolerance']:.0e}", f"{each['plan_bytes'] / 1e6:.1f}"),
            " / ".join(f"{size / 1e9:.2f}" for size in each["activation_bytes"]),
        )
        for each in plans
    ]
    return grid(heads, rows)


def _speeds(speeds: Sequence[ServerSpeed]) -> str:
    heads = (
        *(
            "ensemble",
            "precision",
            "px",
            "frames of a request",
            "network alone, frames/s",
            "server, frames/s",
        ),
        *("end to end, frames/s", "bytes to the host per frame"),
    )
    rows = [
        (
            *(each.model, each.precision, str(each.size_px), str(each.batch)),
            f"{each.network_per_s:.0f}",
            *(f"{each.server_per_s:.0f}", f"{each.end_to_end_per_s:.0f}"),
            f"{each.bytes_to_host_per_frame:.0f}",
        )
        for each in speeds
    ]
    return grid(heads, rows)


def _kernels(kernels: Sequence[Mapping[str, Any]]) -> str:
    heads = ("kernel", "px", "frames", "NumPy's bits", "frames/s", "bytes to the host per frame")
    rows = [
        (
            *(str(each["kernel"]), str(each["size_px"]), str(each["frames"])),
            "yes" if each["same_bits"] else "NO",
            *(f"{each['frames_per_s']:.0f}", f"{each['bytes_to_host_per_frame']:.0f}"),
        )
        for each in kernels
    ]
    return grid(heads, rows)
