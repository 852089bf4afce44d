"""Files of ``recon-bench speed``: figures as JSON, a page in Markdown, a chart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from smlm_bench.machine import machine
from smlm_bench.speed.figure import write_speed_figure
from smlm_bench.speed.markdown import speed_markdown
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
    content = {"machine": machine(), "plan": asdict(plan), **asdict(figures)}
    (folder / "speed.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    page = speed_markdown(figures, plan, machine())
    (folder / "speed.md").write_text(page, encoding="utf-8")
    if figures.speeds:
        write_speed_figure(folder / "speed.png", figures, machine())
