"""``recon-bench speed``, ``stages``, ``messages``, ``client``, ``memory`` and ``frontier``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from smlm_bench.console import Folder, bench_console, bench_door, grid, load_tensorflow_quietly
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.cli.options import Precision, precision_name
from smlm_pipeline.errors import SettingError

with imported_when_used():
    from smlm_bench import machine
    from smlm_bench.speed import client as client_speed
    from smlm_bench.speed import client_memory, markdown, printed, run
    from smlm_bench.speed import frontier as speed_frontier
    from smlm_bench.speed import messages as message_bytes
    from smlm_bench.speed import stages as path_stages
    from smlm_pipeline.compute import processor

_NUMBER = re.compile("[0-9]{1,9}")

Report = Annotated[Path | None, typer.Option("-o", "--output", help="JSON file to write.")]


def speed(
    sizes_px: Annotated[
        str, typer.Option(help="Edges of the frames, separated by commas.")
    ] = "64,128,256,512",
    megapixels: Annotated[float, typer.Option(min=0.01, help="Length of each film.")] = 40.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    networks: Annotated[bool, typer.Option(help="Time every network, untrained, as well.")] = True,
    memory: Annotated[bool, typer.Option(help="Measure peak memory as well.")] = True,
    output: Folder = Path("bench"),
) -> None:
    """Time engines side by side: ONNX Runtime, OpenVINO, Triton; Deep-STORM's layers, Keras."""
    with bench_door(if_interrupted=f"{output} has what was measured until then"):
        sizes = _sizes(sizes_px)
        load_tensorflow_quietly()
        plan = run.Plan(sizes, megapixels, rounds, networks, memory)
        output.mkdir(parents=True, exist_ok=True)
        figures = run.measure(
            plan,
            Console(stderr=True).print,
            lambda figures: markdown.write_figures(output, plan, figures),
        )
        markdown.write_figures(output, plan, figures)
        typer.echo(machine.machine())
        printed.print_figures(bench_console(), figures)
        typer.echo(f"{output / 'speed.json'}, speed.md and speed.png are written")


Networks = Annotated[
    str, typer.Option("--networks", help="Networks that ship, separated by commas.")
]


def stages(
    sizes_px: Annotated[str, typer.Option(help="Edges of the frames, separated by commas.")] = (
        "64,256"
    ),
    networks: Networks = "unet,unet_fast",
    megapixels: Annotated[float, typer.Option(min=0.01, help="Length of each film.")] = 20.0,
    output: Report = None,
) -> None:
    """Profile what is left besides the network: each stage alone, and each process of a run."""
    with bench_door():
        sizes, names = _sizes(sizes_px), _networks(networks)
        typer.echo(f"{machine.machine()}. Nanoseconds of a processor for each camera pixel.")
        parts: dict[str, list[Any]] = {"stages": [], "processes": []}
        for name in names:
            parts["stages"] += path_stages.stage_costs(name, sizes)
            parts["processes"] += path_stages.process_costs(name, sizes, megapixels)
        for costs in parts.values():
            typer.echo("\n" + path_stages.costs_markdown(costs))
        rows = {part: [asdict(each) for each in costs] for part, costs in parts.items()}
        _write_json(output, {"machine": machine.machine(), **rows})


def messages(
    sizes_px: Annotated[
        str, typer.Option(help="Edges of the frames, separated by commas.")
    ] = "64,128,256,512",
    networks: Networks = "unet,unet_fast,unet_map",
    output: Report = None,
) -> None:
    """Compare the bytes of answers with those of the frames, for requests of the usual size."""
    with bench_door():
        found = list(message_bytes.message_sizes(_networks(networks), _sizes(sizes_px)))
        typer.echo(grid(message_bytes.MESSAGE_HEADS, message_bytes.message_rows(found)))
        _write_json(output, [asdict(each) for each in found])


def client(
    size_px: Annotated[int, typer.Option(help="Edge of the frames.")] = 256,
    megabytes: Annotated[float, typer.Option(help="Size of the film.")] = 2000.0,
    repeats: Annotated[int, typer.Option(min=1, help="Runs; the fastest counts.")] = 3,
    output: Report = None,
) -> None:
    """Measure the client alone: megabytes of raw frames per second, and the limit of each stage."""
    with bench_door():
        typer.echo(f"{processor.available_cpus()} CPU threads, shared with the stub server")
        rates = []
        for rate in client_speed.rates(size_px, megabytes, repeats):
            rates.append(rate)
            typer.echo(client_speed.in_words(rate))
        _write_json(output, [asdict(rate) for rate in rates])


def memory(
    case: Annotated[str | None, typer.Option(help="One case alone, in this process.")] = None,
    scale: Annotated[float, typer.Option(help="Share of each film's frames to take.")] = 1.0,
    in_flight: Annotated[
        int | None,
        typer.Option(help="Concurrent requests of that case; by default adapted, as by submit."),
    ] = None,
    output: Report = None,
) -> None:
    """Measure the client's peak memory on films of 6 GB and of 2048 x 2048 pixels."""
    with bench_door():
        if case is not None:
            typer.echo(json.dumps(asdict(client_memory.measure(_case(case), scale, in_flight))))
            return
        peaks = [client_memory.measure_apart(each, scale) for each in client_memory.CASES]
        for peak in peaks:
            typer.echo(client_memory.in_words(peak))
        _write_json(output, [asdict(peak) for peak in peaks])
        above = [peak.name for peak in peaks if peak.peak_mib > peak.limit_mib]
        if above:
            typer.echo(f"above their bound: {', '.join(above)}", err=True)
            raise typer.Exit(1)


def frontier(
    networks: Annotated[
        list[Path], typer.Argument(help="ONNX files of 'recon-train export', with their cards.")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 5,
    precision: Precision = None,
    output: Report = None,
    figure: Annotated[Path | None, typer.Option(help="PNG file to write.")] = None,
) -> None:
    """Time trained networks side by side, and show the errors of their cards against time."""
    with bench_door():
        load_tensorflow_quietly()
        places = speed_frontier.places(networks, rounds, precision_name(precision))
        bench_console().print(speed_frontier.table(places))
        _write_json(output, speed_frontier.as_json(places))
        if figure is not None:
            figure.parent.mkdir(parents=True, exist_ok=True)
            speed_frontier.write_figure(figure, places)


def _sizes(sizes_px: str) -> tuple[int, ...]:
    words = [word.strip() for word in sizes_px.split(",")]
    sizes = tuple(dict.fromkeys(int(word) if _NUMBER.fullmatch(word) else 0 for word in words))
    if not all(16 <= size <= 2048 for size in sizes):
        raise SettingError(f"sizes are {sizes_px!r}; expected edges of 16 to 2048, as in 64,256")
    return sizes


def _networks(names: str) -> tuple[str, ...]:
    networks = tuple(dict.fromkeys(word.strip() for word in names.split(",")))
    unknown = [name for name in networks if name not in contract.NETWORKS]
    if unknown:
        raise SettingError(
            f"no network {unknown[0]!r}; expected some of {', '.join(contract.NETWORKS)}"
        )
    return networks


def _case(name: str) -> client_memory.Case:
    cases = {case.name: case for case in client_memory.CASES}
    if name not in cases:
        raise SettingError(f"no case is called {name!r}; expected one of {', '.join(cases)}")
    return cases[name]


def _write_json(path: Path | None, content: object) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
