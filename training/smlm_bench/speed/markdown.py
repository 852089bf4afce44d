"""Files of ``recon-bench speed``: figures as JSON, a page in Markdown, a chart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from smlm_bench.console import grid
from smlm_bench.machine import machine as describe_machine
from smlm_bench.speed.engines import titled
from smlm_bench.speed.figure import write_speed_figure
from smlm_bench.speed.measure import AGAINST_PIXELS, Line, Speed, Spread, best_ways
from smlm_bench.speed.messages import MESSAGE_HEADS, message_rows

if TYPE_CHECKING:
    from smlm_bench.speed.run import Figures, Plan

SPEED_HEADS = (
    *("network", "px", "engine", "frames", "frames/s", "ms a frame", "range"),
    *("of the bare network", "times Deep-STORM"),
)


def write_figures(folder: Path, plan: Plan, figures: Figures) -> None:
    """Write ``speed.json``, ``speed.md`` and, once an engine is timed, ``speed.png``.

    Parameters
    ----------
    folder : Path
        Where to write.
    plan : Plan
        Plan of the run.
    figures : Figures
        Everything measured so far.
    """
    machine_name = describe_machine()
    content = {"machine": machine_name, "plan": asdict(plan), **asdict(figures)}
    (folder / "speed.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    page = speed_markdown(figures, plan, machine_name)
    (folder / "speed.md").write_text(page, encoding="utf-8")
    if figures.speeds:
        write_speed_figure(folder / "speed.png", figures.speeds, figures.lines, machine_name)


def speed_markdown(figures: Figures, plan: Plan, machine: str) -> str:
    """Speeds of the best ways, bytes, fitted lines, and peaks of memory."""
    parts = [
        f"{machine}. The local engine and Triton reconstruct a film of about {plan.megapixels:g} "
        "megapixels, from the opened file to the image in memory. The others are bare networks: "
        "normalised frames in memory, answers in memory, of several ways to call the engine the "
        f"fastest. All take turns and use all threads; median and range of {plan.rounds} rounds. "
        "Of the bare network: the speed over that of the fastest bare engine with the same "
        "network. Times Deep-STORM: the speed over that of Deep-STORM's layers in ONNX Runtime.",
        *figures.left_out,
        grid(SPEED_HEADS, [speed_row(each) for each in best_ways(figures.speeds)]),
        "Tensors of a request and of its answer, for requests of the usual size.",
        grid(MESSAGE_HEADS, message_rows(figures.messages)),
        "Straight lines of the least relative errors: of ms a frame against its pixels, and of a "
        f"film's time against its frames ({min(plan.sizes_px)} x {min(plan.sizes_px)} pixels).",
        grid(
            ("engine", "line", "R2"),
            [(each.name, as_words(each), f"{each.r2:.5f}") for each in figures.lines],
        ),
    ]
    if figures.peaks:
        parts += [
            "Peak memory of processes that do nothing else, packages and frames included, in MiB. "
            "Processes of the server share pages, which count in each.",
            grid(
                ("px", "process", "frames", "MiB"),
                [
                    (str(each.size_px), each.name, str(each.frames), f"{each.mib:,.0f}")
                    for each in figures.peaks
                ],
            ),
        ]
    return "\n\n".join(parts) + "\n"


def speed_row(speed: Speed) -> tuple[str, ...]:
    """A row under ``SPEED_HEADS``."""
    ms = speed.ms_per_frame
    return (
        *(speed.network, str(speed.size_px), titled("", speed.engine, speed.way)),
        *(str(speed.frames), f"{speed.frames_per_s:,.1f}", f"{ms.median:.3g}"),
        f"{ms.low:.3g} to {ms.high:.3g}",
        _as_share(speed.share_of_bare),
        "-" if speed.times_peer is None else f"{speed.times_peer.median:.1f}",
    )


def _as_share(share: Spread | None) -> str:
    if share is None:
        return "-"
    return f"{share.median:.2f} ({share.low:.2f} to {share.high:.2f})"


def as_words(line: Line) -> str:
    """In units that give readable numbers; lines are in ms and pixels, or seconds and frames."""
    if line.against == AGAINST_PIXELS:
        return f"{1e3 * line.slope:.3g} ms for each 1,000 pixels {line.offset:+.2f} ms"
    return f"{1e3 * line.slope:.2f} ms for each frame {line.offset:+.2f} s"
