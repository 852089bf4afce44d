"""Films and checkpoints with damaged bytes are refused in plain words, or read as they were."""

from __future__ import annotations

import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from fakes.checkpointed_runs import interrupted, resumed, sum_of, sums
from fakes.format_films import make_film, write_nd2_film, write_ndtiff_film, write_raw
from fakes.mutations import chance_of, mutated, seeds
from fakes.tiff_films import by_blocks, writer
from smlm_pipeline.errors import CheckpointError, FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.settings import Settings

MEMORY_BYTES = 256 << 20

FILMS = {
    "pages.tif": writer(),
    "blocks.tif": by_blocks(4),
    "tiles.tif": writer(tile=(16, 16), compression="zlib"),
    "film.ome.tif": writer(metadata={"axes": "TYX"}),
    "film.nd2": write_nd2_film,
    "raw/film.raw": write_raw,
    "ndtiff": write_ndtiff_film,
}

FOUND = {"film.nd2": [1070]}
"""Seeds that once met an error that was not foreseen."""


@pytest.mark.parametrize("name", FILMS)
def test_films(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    FILMS[name](path, make_film())
    files = sorted(each for each in tmp_path.rglob("*") if each.is_file())
    whole = {each: each.read_bytes() for each in files}
    refused = count = 0
    for seed in chain(FOUND.get(name, ()), seeds()):
        chance = chance_of(seed)
        file = chance.choice(files)
        file.write_bytes(mutated(whole[file], chance))
        count += 1
        plain = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of readers, about what they met
                with open_film(path, memory_bytes=MEMORY_BYTES) as film:
                    survey(film, Settings())
        except FilmError as error:
            refused += 1
            plain = "expected" in str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
        finally:
            file.write_bytes(whole[file])
        assert plain, f"seed {seed} of {name}"
    assert 0 < refused <= count


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    interrupted(path, 2, 5)
    whole, expected, refused = path.read_bytes(), sums(sum_of(2, 5)), 0
    for seed in seeds():
        path.write_bytes(mutated(whole, chance_of(seed)))
        try:
            found = resumed(path)
        except CheckpointError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        else:
            assert found.merged == {2, 5}, f"seed {seed}"
            np.testing.assert_array_equal(sums(found), expected, err_msg=f"seed {seed}")
    assert refused > 10
