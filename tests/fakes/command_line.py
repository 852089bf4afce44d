"""``recon-client`` called from a test, on a small film, and what it leaves and says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest
import tifffile
from typer.testing import CliRunner, Result

from fakes.films import spots_adu
from smlm_pipeline.cli import app
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.engines.transport import Transport

NOTICE = (
    "recon-client: film.tif does not state its pixel size; assuming 100 nm "
    "(--pixel-size-nm sets it)"
)


KEPT = "run the same command with --resume to continue"
"""End of the line that reports a checkpoint."""


def write_film(path: Path) -> Path:
    """16 frames of 32 x 32 pixels that do not state their pixel size."""
    tifffile.imwrite(path, spots_adu(16, 32, 32), photometric="minisblack")
    return path


def invoke(*arguments: str | Path, server: str | None = None) -> Result:
    """Call the command; ``server`` is what the environment names, which says nothing else."""
    environment = {"RECON_SERVER": server, "RECON_MODEL_REPOSITORY": None}
    return CliRunner(env=environment).invoke(app.app, [str(argument) for argument in arguments])


PLAIN = ("--refine", "off", "--brightness", "off")
"""Options of ``submit`` for the plain sum, without a look before."""


def submit(*arguments: str | Path) -> Result:
    """Reconstruct in this process; the plain sum at once, unless a test asks for more."""
    off = [pair for pair in zip(PLAIN[::2], PLAIN[1::2], strict=True) if pair[0] not in arguments]
    return invoke("submit", "--engine", "local", *chain(*off), *arguments)


BORDERS_PX = {4: (0.08, 0.12, 0.16)}
"""Class borders of an engine; those of `neighbour_detections` are all in the second class."""


def take_for_local(
    monkeypatch: pytest.MonkeyPatch,
    transport: Transport,
    *,
    class_borders_px: Mapping[int, tuple[float, ...]] = BORDERS_PX,
) -> None:
    """Let ``--engine local`` be this transport."""

    @contextlib.contextmanager
    def opened(_repository: Path | None, _model: str, *, precision: str | None) -> Iterator[Engine]:
        yield Engine(transport, "a fake", "7", class_borders_px=class_borders_px)

    monkeypatch.setattr(opening, "local_engine", opened)


def names(folder: Path) -> list[str]:
    """All files of a folder, hidden ones included."""
    return sorted(path.name for path in folder.iterdir())


def one_line(result: Result) -> str:
    """What a failed command said: one line on standard error, beside notice and checkpoint."""
    if result.stdout:
        raise AssertionError(f"on standard output: {result.stdout}")
    usual = (NOTICE, *(line for line in result.stderr.splitlines() if KEPT in line))
    lines = [line for line in result.stderr.splitlines() if line not in usual]
    if len(lines) != 1 or not lines[0].startswith("recon-client: "):
        raise AssertionError(f"expected one line of recon-client: {result.stderr}")
    return lines[0]
