"""Sources of a run's batches: the simulator, or patches of a film."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.localise.table_files import read_molecules
from smlm_training.fitting import patches
from smlm_training.fitting.datasets import Batch, batches, block_batches
from smlm_training.fitting.ranges import Ranges
from smlm_training.fitting.recipes import Cut, Recipe

VALIDATION_SEED = 7_772
"""With the last of all blocks, which no run reaches, these films are in no training set."""

_LAST_BLOCK = 2**63 - 1


@dataclass(frozen=True)
class FilmFiles:
    """A film of the camera, in any format, and the table of its emitters."""

    stack: Path
    positions: Path


class Source(Protocol):
    """Batches to train on, the same for the same recipe, and others to validate on."""

    def training(self, first_step: int) -> Iterator[Batch]:
        """Batches without end, from step ``first_step`` on."""
        ...

    def validation(self) -> Iterator[Batch]:
        """The same few batches each time."""
        ...

    def described(self) -> dict[str, Any]:
        """Facts about the data that are not in the recipe, for the manifest."""
        ...


@dataclass(frozen=True)
class Simulated:
    """Endless simulated films; one block of them is the validation set."""

    ranges: Ranges
    seed: int
    batch: int

    def training(self, first_step: int) -> Iterator[Batch]:
        """Batches without end; those of the first block before ``first_step`` are skipped."""
        block, used = divmod(first_step, self.ranges.frames_per_film)
        made = batches(self.ranges, seed=self.seed, batch=self.batch, first_block=block)
        return islice(made, used, None)

    def validation(self) -> Iterator[Batch]:
        """One block of films, the same for every seed of training."""
        return block_batches(self.ranges, seed=VALIDATION_SEED, batch=self.batch, block=_LAST_BLOCK)

    def described(self) -> dict[str, Any]:
        """Nothing: the recipe states all of it."""
        return {}


@dataclass(frozen=True)
class CutFromFilm:
    """Pairs of patches and positions cut from one film."""

    pairs: Batch
    held_out: Batch
    seed: int
    batch: int
    sha256: dict[str, str]

    def training(self, first_step: int) -> Iterator[Batch]:
        """Batches without end, in another order in each epoch."""
        return patches.batches(self.pairs, batch=self.batch, seed=self.seed, first_step=first_step)

    def validation(self) -> Iterator[Batch]:
        """All pairs that training does not see."""
        held = self.held_out
        for first in range(0, len(held.present), self.batch):
            yield held.of(slice(first, first + self.batch))

    def described(self) -> dict[str, Any]:
        """Hashes of the files, and the numbers of pairs."""
        return {
            "film": {
                **self.sha256,
                "training_pairs": len(self.pairs.present),
                "validation_pairs": len(self.held_out.present),
            }
        }


def source_of(recipe: Recipe, film: FilmFiles | None) -> Source:
    """The source of the batches that a recipe trains on.

    Raises
    ------
    SettingError
        If the recipe needs a film and none is given, or the other way round.
    FilmError
        If the film or its table cannot be used.
    """
    if recipe.data == "simulated":
        if film is not None:
            raise SettingError(
                "the preset trains on simulated films, but a film is given; expected none, or "
                'a preset with "data": "film", like \'seed\''
            )
        return Simulated(recipe.ranges, recipe.seed, recipe.batch)
    if film is None:
        raise SettingError(
            "the preset trains on patches of a film; expected --stack with the film and "
            "--positions with the table of its emitters"
        )
    with open_film(film.stack) as opened:
        frames_adu = opened.read_all()
    cut = asdict(recipe.cut) | {"pixel_size_nm": _pixel_size_nm(opened, recipe.cut)}
    pairs = patches.cut_pairs(frames_adu, read_molecules(film.positions), **cut, seed=recipe.seed)
    # A film in a folder has no bytes of its own: its frames are hashed.
    content = film.stack.read_bytes() if film.stack.is_file() else frames_adu.tobytes()
    hashes = {
        "stack_sha256": hashlib.sha256(content).hexdigest(),
        "positions_sha256": hashlib.sha256(film.positions.read_bytes()).hexdigest(),
    }
    return CutFromFilm(*pairs, recipe.seed, recipe.batch, hashes)


def _pixel_size_nm(film: Film, cut: Cut) -> float:
    """The recipe's size where it is not the default, else the film's own, else the default."""
    if cut.pixel_size_nm != Cut.pixel_size_nm:
        return cut.pixel_size_nm
    return film.pixel_size_nm or cut.pixel_size_nm
