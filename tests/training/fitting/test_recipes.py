"""Presets of training runs: the built-in ones, and files that differ from them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.preset_files import preset_json, recipe_of
from smlm_training.fitting.recipes import PRESETS, Cut, Recipe


def _file(folder: Path, stated: Any) -> str:
    path = folder / "mine.json"
    path.write_text(json.dumps(stated))
    return str(path)


def test_the_seeds_recipe_is_as_published() -> None:
    seed = PRESETS["seed"]
    assert (seed.network, seed.data, seed.batch) == ("unet-interpolated", "film", 16)
    assert seed.cut == Cut(patch_px=26, patches_per_frame=500, emitters_min=7, pairs_most=10_000)
    assert seed.epoch_steps == 7_000 // seed.batch
    assert seed.steps == 100 * seed.epoch_steps
    assert seed.l1_weight == 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(preset_json(PRESETS[name]))
    assert recipe_of(str(path)) == PRESETS[name] == recipe_of(name)


def test_a_file_states_what_differs(tmp_path: Path) -> None:
    stated = {
        "base": "finish",
        "batch": 8,
        "learning_rate": 1,
        "ranges": {"sigma_px": [1, 1.2], "patch_px": 32},
        "measured_from": {"stack": "mine.tif", "frames": 500},
    }
    finish = PRESETS["finish"]
    ranges = replace(finish.ranges, sigma_px=(1.0, 1.2), patch_px=32)
    expected = replace(finish, batch=8, learning_rate=1.0, ranges=ranges)
    found = recipe_of(_file(tmp_path, stated))
    assert found == expected
    assert isinstance(found.learning_rate, float)
    assert isinstance(found.ranges.sigma_px[0], float)


def test_a_file_without_base_differs_from_the_default(tmp_path: Path) -> None:
    assert recipe_of(_file(tmp_path, {"steps": 9_000})) == replace(Recipe(), steps=9_000)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"bath": 8}, r"mine.json: bath is no setting; expected one of network, start_required"),
        ({"ranges": {"sigma": 1}}, r"ranges.sigma is no setting; expected one of .*sigma_px"),
        ({"batch": "8"}, r'batch is "8"; expected a whole number'),
        ({"batch": True}, r"batch is true; expected a whole number"),
        ({"batch": 8.5}, r"batch is 8.5; expected a whole number"),
        ({"network": 3}, r"network is 3; expected a text"),
        ({"learning_rate": None}, r"learning_rate is null; expected a number"),
        ({"ranges": 4}, r"ranges is 4; expected an object of settings"),
        ({"ranges": {"sigma_px": 1.1}}, r"ranges.sigma_px is 1.1; expected a list of 2: a number"),
        ({"ranges": {"sigma_px": [1, "a"]}}, r'ranges.sigma_px\[1\] is "a"; expected a number'),
        (
            {"ranges": {"sigma_px": [2, 1]}},
            r"ranges.sigma_px is 2 to 1; expected the smaller",
        ),
        ({"ranges": {"photons": [0, 100]}}, r"ranges.photons, smallest, is 0.0; .*from 1e-06"),
        ({"ranges": {"filament_share": 7}}, r"ranges.filament_share is 7.0; .*from 0 to 1"),
        ({"ranges": {"patch_px": -8}}, r"ranges.patch_px is -8; expected a whole number from 8"),
        ({"ranges": {"frames_per_film": 0}}, r"ranges.frames_per_film is 0; expected .*from 2"),
        ({"ranges": {"emitters_max": 0}}, r"ranges.emitters_max is 0; expected .*from 1"),
        ({"batch": 0}, r"batch is 0; expected a whole number from 1"),
        ({"schedule": "steps"}, r"schedule is 'steps'; expected one of cosine, plateau"),
        ({"data": "films"}, r"data is 'films'; expected one of simulated, film"),
        ({"cut": {"train_share": 2}}, r"cut.train_share is 2.0; expected a number from 0 to 1"),
        ({"float32_steps": 60_000}, r"float32_steps is 60000; expected .* from 0 to 56000"),
        ({"base": "best"}, r"base is 'best' in .*mine.json; expected one of default, finish"),
        ([1, 2], r"holds \[1, 2\]; expected an object of settings"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(stated: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message):
        recipe_of(_file(tmp_path, stated))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("batch = 8")
    with pytest.raises(SettingError, match=r"mine.json is no JSON \(.*\); expected a preset file"):
        recipe_of(str(path))


def test_there_must_be_such_a_preset() -> None:
    with pytest.raises(SettingError, match=r"'best'; expected one of default, .*or a JSON file"):
        recipe_of("best")


def test_a_shorter_run_keeps_its_share_of_float32() -> None:
    shorter = Recipe(steps=100, float32_steps=25).shortened(10)
    assert asdict(shorter) == asdict(Recipe(steps=10, float32_steps=2))
