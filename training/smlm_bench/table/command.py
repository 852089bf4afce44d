"""``recon-bench table``."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from smlm_bench.console import bench_console, bench_door
from smlm_bench.method import CLASSICAL_NAMES, RUNTIMES
from smlm_pipeline.errors import SettingError

_QUIET_S = 30.0
"""Without a terminal, a line at most so often, for logs."""


class TableProgress(AbstractContextManager["TableProgress"]):
    """A bar for each method on a terminal, a line now and then in a log."""

    def __init__(self, frames: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:24s}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames, {task.fields[left]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._frames = frames
        self._tasks: dict[str, TaskID] = {}
        self._said_at = 0.0

    def __enter__(self) -> TableProgress:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def note(self, what: str) -> None:
        """Something that the user should know, above the bars."""
        self._console.print(f"recon-bench: {what}", markup=False, highlight=False, soft_wrap=True)

    def tell(self, name: str, frames: int, left_s: float) -> None:
        """A method has done so many frames of its first pass, and needs so long for the rest."""
        left = f"{_duration(left_s)} left" if frames < self._frames else "the first pass is done"
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=self._frames, left=left)
        self._progress.update(self._tasks[name], completed=frames, left=left)
        if not self._console.is_terminal and time.monotonic() - self._said_at > _QUIET_S:
            self._said_at = time.monotonic()
            self._console.print(
                f"{name}: {frames} of {self._frames} frames, {left}", soft_wrap=True
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_METHODS = (
    f"{', '.join(CLASSICAL_NAMES)}, or NETWORK@RUNTIME with a runtime of {', '.join(RUNTIMES)}"
)


def table(
    stack: Annotated[Path, typer.Argument(help="Film: TIFF, ND2, Zarr, as for recon-client.")],
    positions: Annotated[
        Path, typer.Option(help="True positions: CSV or XLSX, ThunderSTORM's columns.")
    ],
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="With commas between; by default, all that are there."),
    ] = None,
    frames: Annotated[
        str, typer.Option(metavar="A:B", help="From frame A (0 is the first) up to B, without B.")
    ] = ":",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder; results are kept in it.")
    ] = Path("bench/table"),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a table of other methods, frames or another film."
        ),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="A run's folder or an ONNX file; else the usual places."
        ),
    ] = None,
    server: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A Triton server, for NETWORK@server.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, metavar="N", help="Passes over the film, for times.")
    ] = 3,
    repeat_limit_s: Annotated[
        float,
        typer.Option(
            min=0, metavar="S", help="No further pass that would take a method beyond this."
        ),
    ] = 600.0,
    camera: Annotated[str, typer.Option(metavar="KIND", help="emccd or scmos.")] = "emccd",
    pixel_size_nm: Annotated[
        float | None, typer.Option(min=1, metavar="NM", help="Camera pixel.")
    ] = None,
    sigma_px: Annotated[
        float | None, typer.Option(min=0.3, metavar="PX", help="Spot's sigma.")
    ] = None,
    molecule_photons: Annotated[
        float | None, typer.Option(min=1, metavar="N", help="Photons of a molecule in a frame.")
    ] = None,
    gain_adu_per_photon: Annotated[
        float | None, typer.Option(min=1e-6, metavar="ADU", help="Camera's gain.")
    ] = None,
    offset_adu: Annotated[
        float | None, typer.Option(min=0, metavar="ADU", help="Base level.")
    ] = None,
) -> None:
    """Reconstruct a film by every method, score all with one scorer, draw and write all.

    Methods: blank, widefield, single-emitter, cel0, falcon; and
    NETWORK@RUNTIME, where networks are deep-storm, unet-interpolated, unet,
    unet-fast, unet-map, fid-storm, and runtimes are keras, onnx, triton (a
    server that is started here) and server (that of --server).

    What is not told of optics and camera is estimated from the film, as by
    'recon-train match'. A run that was interrupted goes on; what has been done
    is not done again.
    """
    with bench_door("the same call goes on with what is done"):
        from smlm_bench.catalogue import Sources, choose
        from smlm_bench.table.compare import compare
        from smlm_bench.table.facts import Known
        from smlm_bench.table.film import read_compared_film
        from smlm_bench.table.passes import Timing
        from smlm_bench.table.results import check_output, check_replaceable

        named, part = None if methods is None else _names(methods), _range(frames)
        sources = Sources(_networks(network or []), server)
        check_output(output)
        choice = choose(named, sources, _note)
        known = Known(
            camera, pixel_size_nm, sigma_px, molecule_photons, gain_adu_per_photon, offset_adu
        )
        film = read_compared_film(stack, positions, part, known)
        if not overwrite:
            check_replaceable(output, film, choice.names)
        if any(asdict(film.outside).values()):
            _note(
                f"left out of {positions.name}: {film.outside.of_frames:,} molecules in other "
                f"frames, {film.outside.of_field:,} outside of the field"
            )
        timing = Timing(repeats, repeat_limit_s)
        with TableProgress(len(film.frames_adu)) as progress:
            compare(film, choice, sources, output, timing, progress.tell, progress.note)
        bench_console().print(
            (output / "table.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True
        )
        typer.echo(f"{output / 'table.md'}, table.csv, table.json and figure.png are written")


def _note(what: str) -> None:
    typer.echo(f"recon-bench: {what}", err=True)


def _names(methods: str) -> list[str]:
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise SettingError(f"no method is named; expected some of {_METHODS}")
    return list(dict.fromkeys(names))


def _networks(given: list[str]) -> dict[str, Path]:
    networks = {}
    for each in given:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise SettingError(f"--network {each!r}; expected NAME=PATH, as in unet=runs/mine")
        networks[name] = Path(path)
    return networks


def _range(frames: str) -> tuple[int | None, int | None]:
    found = re.fullmatch(r"(\d*):(\d*)", frames)
    if not found:
        raise SettingError(f"--frames {frames!r}; expected A:B, as in 0:100, or 100:")
    first, last = (int(each) if each else None for each in found.groups())
    return first, last
