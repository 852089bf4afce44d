"""Files of ``recon-bench speed``: figures as JSON, a page in Markdown, a chart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from smlm_bench.console import grid
from smlm_bench.machine import machine as describe_machine
from smlm_bench.speed.engines import PEER_KERAS, titled
from smlm_bench.speed.figure import write_speed_figure
from smlm_bench.speed.measure import AGAINST_PIXELS, Line, best_batches

if TYPE_CHECKING:
    from smlm_bench.speed.run import Figures, Plan


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
        write_speed_figure(folder / "speed.png", figures, machine_name)


def speed_markdown(figures: Figures, plan: Plan, machine: str) -> str:
    """Speeds of the best batches, fitted lines, and peaks of memory."""
    parts = [
        f"{machine}. Films of about {plan.megapixels:g} megapixels, of 16 frames at least, and "
        f"Deep-STORM on their first frames; all in turn and with all threads, the median of rounds "
        f"({plan.rounds}) and their range, of several batch sizes the fastest. The limit is the "
        "fastest one of ONNX Runtime and OpenVINO on frames in memory.",
        grid(
            ("px", "engine", "frames", "ms a frame", "range", "of the limit", "times Deep-STORM"),
            [
                (
                    *(str(each.size_px), titled(each.name, each.batch), str(each.frames)),
                    f"{each.ms_per_frame:.2f}",
                    f"{each.fastest_ms:.2f} to {each.slowest_ms:.2f}",
                    f"{100 * each.share_of_limit:.0f} %",
                    "-" if each.times_peer is None else f"{each.times_peer:.1f}",
                )
                for each in best_batches(figures.speeds)
            ],
        ),
        f"Times Deep-STORM: the fastest time of {PEER_KERAS}, over this one's.",
        "Straight lines of the least relative errors: of ms a frame against its pixels, and of a "
        "film's time "
        f"against its frames ({min(plan.sizes_px)} x {min(plan.sizes_px)} pixels).",
        grid(
            ("engine", "line", "R2"),
            [(each.name, as_words(each), f"{each.r2:.5f}") for each in figures.lines],
        ),
    ]
    if figures.stages:
        stages = list(next(iter(figures.stages.values())))
        parts += [
            "Stage by stage in one process, the fastest of three, on the film's first frames: ms a "
            "frame, and of the two files ms a film.",
            grid(
                ("px", *stages),
                [
                    (str(size_px), *(f"{costs[stage]:.3g}" for stage in stages))
                    for size_px, costs in figures.stages.items()
                ],
            ),
        ]
    if figures.peaks:
        parts += [
            "Peak memory of processes that do nothing else, packages and frames included, in MiB. "
            "Processes of the server share pages, which count in each.",
            grid(
                ("px", "process", "frames", "MiB"),
                [
                    (
                        *(str(each.size_px), titled(each.name, each.batch), str(each.frames)),
                        f"{each.mib:,.0f}",
                    )
                    for each in figures.peaks
                ],
            ),
        ]
    return "\n\n".join(parts) + "\n"


def as_words(line: Line) -> str:
    """In units that give readable numbers; lines are in ms and pixels, or seconds and frames."""
    if line.against == AGAINST_PIXELS:
        return f"{1e3 * line.slope:.3g} ms for each 1,000 pixels {line.offset:+.2f} ms"
    return f"{1e3 * line.slope:.2f} ms for each frame {line.offset:+.2f} s"
