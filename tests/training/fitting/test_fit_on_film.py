"""Training as in the reference paper: pairs cut from a film, validation, a falling rate."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from fakes.format_films import WRITERS
from fakes.short_runs import InterruptionError, interrupt_at
from smlm_pipeline.errors import FilmError, SettingError
from smlm_training.fitting import schedules
from smlm_training.fitting.checkpoints import load_state, save_state
from smlm_training.fitting.fit import fit
from smlm_training.fitting.recipes import PRESETS, Cut, Recipe
from smlm_training.fitting.sources import FilmFiles, Simulated, source_of
from smlm_training.fitting.trainer import Trainer
from smlm_training.networks import NETWORKS
from smlm_training.networks.unet_map import unet_interpolated
from smlm_training.simulation import presets
from smlm_training.simulation.film_files import FILM, POSITIONS, write_film

pytestmark = pytest.mark.training

SIZE_PX = 24
RECIPE = replace(
    PRESETS["seed"],
    batch=2,
    steps=8,
    float32_steps=8,
    epoch_steps=2,
    cut=Cut(patch_px=10, patches_per_frame=3, emitters_min=1),
)


@pytest.fixture(scope="module", autouse=True)
def _shallow_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        shallow = partial(unet_interpolated, (8, 8))  # type: ignore[arg-type]
        patched.setitem(NETWORKS, "unet-interpolated", shallow)
        yield


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> FilmFiles:
    folder = tmp_path_factory.mktemp("film")
    uniform = presets.PRESETS["uniform-3"]
    scene = replace(uniform, seed=1, frames=6, height_px=SIZE_PX, width_px=SIZE_PX)
    write_film(folder, scene, progress=lambda _frames: None)
    return FilmFiles(folder / FILM, folder / POSITIONS)


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_an_interrupted_run_ends_where_an_unbroken_one_does(
    film: FilmFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every epoch but the first on a plateau, so that the rate falls on both sides."""
    monkeypatch.setattr(schedules, "PATIENCE_EPOCHS", 1)
    monkeypatch.setattr(schedules, "LEAST_GAIN", 1e12)
    unbroken = fit(RECIPE, tmp_path / "unbroken", film=film)
    with monkeypatch.context() as patched:
        interrupt_at(patched, 5)
        with pytest.raises(InterruptionError, match=r"^$"):
            fit(RECIPE, tmp_path / "broken", film=film)
    resumed = fit(RECIPE, tmp_path / "broken", film=film)
    for found, expected in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    rows, others = _history(tmp_path / "broken"), _history(tmp_path / "unbroken")
    for name in ("step", "loss", "count_loss", "validation_loss", "learning_rate"):
        assert [row[name] for row in rows] == [row[name] for row in others]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 5e-5])
    manifest = json.loads((tmp_path / "unbroken" / "manifest.json").read_text())
    assert manifest["film"] == {
        "stack_sha256": hashlib.sha256(film.stack.read_bytes()).hexdigest(),
        "positions_sha256": hashlib.sha256(film.positions.read_bytes()).hexdigest(),
        "training_pairs": 12,
        "validation_pairs": 6,
    }
    other = FilmFiles(tmp_path / "other.tif", film.positions)
    tifffile.imwrite(other.stack, tifffile.imread(film.stack) + np.uint16(1))
    with pytest.raises(SettingError, match=r"another recipe \(film\)"):
        fit(RECIPE, tmp_path / "broken", film=other)


def test_a_run_ends_with_the_network_of_its_least_validation_loss(
    film: FilmFiles, tmp_path: Path
) -> None:
    source = source_of(RECIPE, film)
    batches, held = source.training(0), next(iter(source.validation()))
    trainer = Trainer(RECIPE, tf.distribute.get_strategy())
    networks = []
    for loss in (3.0, 1.0, 2.0):
        batch = next(batches)
        trainer.train(batch.parts)
        trainer._loss_function = lambda *_, loss=loss: loss * len(held.present)
        assert trainer.validate([held]) == loss
        networks.append(trainer._model.get_weights())
    save_state(tmp_path, trainer.state())
    again = Trainer(RECIPE, tf.distribute.get_strategy(), state=load_state(tmp_path))
    assert any((best != last).any() for best, last in zip(networks[1], networks[2], strict=True))
    for each in (trainer, again):
        for found, expected in zip(each.network().get_weights(), networks[1], strict=True):
            np.testing.assert_array_equal(found, expected)


def test_all_pairs_that_training_does_not_see_are_validated_on(film: FilmFiles) -> None:
    source = source_of(replace(RECIPE, batch=4), film)
    held = list(source.validation())
    assert [len(batch.present) for batch in held] == [4, 2]
    assert [batch.normalized.shape[1:3] for batch in held] == [(10, 10)] * 2
    seen = source.training(0)
    trained = np.concatenate([next(seen).normalized for _ in range(3)])
    for batch in held:
        for patch in batch.normalized:
            assert not (trained == patch).all(axis=(1, 2, 3)).any()


def test_simulated_films_go_on_from_any_step() -> None:
    recipe = Recipe()
    source = Simulated(replace(recipe.ranges, patch_px=16, frames_per_film=4), 3, 2)
    unbroken = source.training(0)
    batches = [next(unbroken) for _ in range(7)]
    np.testing.assert_array_equal(next(source.training(6)).normalized, batches[6].normalized)
    held = [batch.normalized for batch in source.validation()]
    again = [batch.normalized for batch in replace(source, seed=4).validation()]
    np.testing.assert_array_equal(held, again)
    assert len(held) == 4
    assert not np.array_equal(held[0], batches[0].normalized)


@pytest.mark.parametrize(
    ("recipe", "given", "message"),
    [
        (RECIPE, False, "expected --stack with the film and --positions with"),
        (Recipe(), True, "trains on simulated films, but a film is given; expected none"),
        (replace(RECIPE, cut=replace(RECIPE.cut, patch_px=30)), True, "30 x 30 pixels, frames 24"),
        (replace(RECIPE, batch=64), True, "too little data: 12 pairs for batches of 64"),
        (replace(RECIPE, cut=replace(RECIPE.cut, emitters_min=99)), True, "too little data: 0"),
        (replace(RECIPE, network="u-net"), True, "no network is called u-net; expected one of"),
        (
            replace(RECIPE, network="unet"),
            True,
            "edges of 10 pixels; expected a multiple of 4 for the network 'unet'",
        ),
    ],
)
def test_what_makes_no_run_is_refused(
    recipe: Recipe, given: bool, message: str, film: FilmFiles, tmp_path: Path
) -> None:
    with pytest.raises((SettingError, FilmError), match=message):
        fit(recipe, tmp_path / "run", film=film if given else None)
    assert not (tmp_path / "run" / "state.npz").exists()


def test_a_stack_that_is_no_film_is_refused(film: FilmFiles, tmp_path: Path) -> None:
    files = replace(film, stack=tmp_path / "flat.tif")
    with pytest.raises(FilmError, match=r"flat\.tif does not exist; expected a film"):
        source_of(RECIPE, files)
    tifffile.imwrite(files.stack, np.full((20, 20), 100, np.uint16))
    with pytest.raises(FilmError, match=r"flat\.tif holds one frame; a film needs at least 2"):
        source_of(RECIPE, files)


@pytest.mark.parametrize("kind", ["zarr", "nd2"])
def test_films_of_other_formats_give_the_same_pairs(
    kind: str, film: FilmFiles, tmp_path: Path
) -> None:
    expected = source_of(RECIPE, film)
    path = WRITERS[kind](tmp_path / "film", tifffile.imread(film.stack))
    source = source_of(RECIPE, replace(film, stack=path))
    for batch, other in zip(source.validation(), expected.validation(), strict=True):
        np.testing.assert_array_equal(batch.normalized, other.normalized)
        np.testing.assert_array_equal(batch.position_px, other.position_px)
    assert len(source.described()["film"]["stack_sha256"]) == 64


def test_positions_are_divided_by_the_films_own_pixel_size(tmp_path: Path) -> None:
    """A recipe that names no size takes the film's; one that does keeps it."""
    scene = replace(
        presets.PRESETS["uniform-3"], frames=6, height_px=SIZE_PX, width_px=SIZE_PX, seed=1
    )
    write_film(tmp_path, replace(scene, pixel_size_nm=160.0), progress=lambda _frames: None)
    files = FilmFiles(tmp_path / FILM, tmp_path / POSITIONS)
    assert len(list(source_of(RECIPE, files).validation())) > 0
    named = replace(RECIPE, cut=replace(RECIPE.cut, pixel_size_nm=80.0))
    with pytest.raises(FilmError, match="pixels of 80 nm"):
        source_of(named, files)
