"""``recon-bench speed``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from smlm_bench.console import bench_console, bench_door, load_tensorflow_quietly
from smlm_bench.speed.contenders import titled
from smlm_pipeline.errors import SettingError

if TYPE_CHECKING:
    from smlm_bench.speed.run import Measured

_NUMBER = re.compile("[0-9]{1,9}")


def speed(
    sizes_px: Annotated[
        str, typer.Option(help="Edges of the frames, with commas between.")
    ] = "64,128,256,512",
    megapixels: Annotated[float, typer.Option(min=0.01, help="Length of each film.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    networks: Annotated[bool, typer.Option(help="Time every network, untrained, as well.")] = True,
    memory: Annotated[bool, typer.Option(help="Measure peak memory as well.")] = True,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path(
        "bench"
    ),
) -> None:
    """Time engines and networks side by side: ONNX Runtime, Triton, Keras, Deep-STORM."""
    with bench_door(f"{output} has what was measured until then"):
        sizes = _sizes(sizes_px)
        load_tensorflow_quietly()
        from smlm_bench.machine import machine
        from smlm_bench.speed.figure import write_speed_figure
        from smlm_bench.speed.markdown import speed_markdown
        from smlm_bench.speed.networks import networks_table
        from smlm_bench.speed.run import Plan, measure

        plan = Plan(sizes, megapixels, rounds, networks, memory)
        errors = Console(stderr=True)
        output.mkdir(parents=True, exist_ok=True)

        def keep(found: Measured) -> None:
            told = {"machine": machine(), "plan": asdict(plan), **asdict(found)}
            (output / "speed.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            text = speed_markdown(found, plan, machine())
            (output / "speed.md").write_text(text, encoding="utf-8")
            if found.speeds:
                write_speed_figure(output / "speed.png", found, machine())

        found = measure(plan, lambda what: errors.print(what), keep)
        keep(found)
        console = bench_console()
        typer.echo(machine())
        console.print(_speeds_table(found))
        _tell(found)
        if found.networks:
            console.print(networks_table(found.networks))
        typer.echo(f"{output / 'speed.json'}, speed.md and speed.png are written")


def _sizes(sizes_px: str) -> tuple[int, ...]:
    words = [each.strip() for each in sizes_px.split(",")]
    sizes = tuple(dict.fromkeys(int(word) if _NUMBER.fullmatch(word) else 0 for word in words))
    if not all(16 <= size <= 2048 for size in sizes):
        raise SettingError(f"sizes are {sizes_px!r}; expected edges of 16 to 2048, as in 64,256")
    return sizes


def _speeds_table(found: Measured) -> Table:
    table = Table()
    for heading in ("engine", "px", "frames", "ms a frame", "fastest to slowest"):
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    table.add_column("of the limit", justify="right")
    table.add_column("x Deep-STORM", justify="right")
    for each in found.speeds:
        table.add_row(
            titled(each.name, each.batch),
            str(each.size_px),
            str(each.frames),
            f"{each.ms_per_frame:.2f}",
            f"{each.fastest_ms:.2f} to {each.slowest_ms:.2f}",
            f"{each.share_of_limit:.1%}",
            "-" if each.times_peer is None else f"{each.times_peer:.1f}",
        )
    return table


def _tell(found: Measured) -> None:
    from smlm_bench.speed.markdown import as_words

    for line in found.lines:
        typer.echo(f"{line.name}, {line.against}: {as_words(line)}, R2 {line.r2:.4f}")
    for size_px, costs in found.stages.items():
        told = ", ".join(f"{name} {each:.3f}" for name, each in costs.items())
        typer.echo(f"{size_px} px, stage by stage in one process, ms a frame: {told}")
        told = ", ".join(f"{name} {each:.3f}" for name, each in found.served[size_px].items())
        typer.echo(f"{size_px} px, inside the server, ms a frame, overlapping: {told}")
    for peak in found.peaks:
        typer.echo(
            f"peak memory, {titled(peak.name, peak.batch)}, {peak.frames} frames of {peak.size_px} "
            f"px: {peak.mib:.0f} MiB"
        )
