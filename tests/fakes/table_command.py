"""``recon-bench table`` on ten small frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner, Result

from smlm_bench import cli
from smlm_training.simulation.film_files import FILM, POSITIONS, write_film
from smlm_training.simulation.presets import PRESETS

KNOWN = (
    *("--sigma-px", "1.1", "--molecule-photons", "1500"),
    *("--gain-adu-per-photon", "2", "--offset-adu", "100"),
)
"""What need not be estimated; so few frames do not tell it."""


def write_compared_film(folder: Path, *, seed: int = 4, frames: int = 10) -> Path:
    """A film of 24 x 28 pixels with its positions."""
    scene = replace(PRESETS["evaluate"], frames=frames, height_px=24, width_px=28, seed=seed)
    write_film(folder, scene, progress=lambda _frames: None)
    return folder


def words(film: Path, *more: object, known: tuple[str, ...] = KNOWN) -> list[str]:
    """The command line, without the program."""
    given = [film / FILM, "--positions", film / POSITIONS, *known, *more]
    return ["table", *map(str, given)]


def table(film: Path, *more: object, known: tuple[str, ...] = KNOWN) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(cli.app, words(film, *more, known=known))
