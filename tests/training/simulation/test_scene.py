"""Scenes: films in blocks, what a seed fixes, and scenes as JSON files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.backgrounds import Background
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.presets import PRESETS
from smlm_training.simulation.samples import RingSample, SpotSample, UniformSample
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import read_scene, write_scene
from smlm_training.simulation.scmos import ScmosChip
from smlm_training.simulation.simulate import Film, Fluorophore, joined

SCENE = Scene(
    UniformSample(2.0),
    fluorophore=Fluorophore(1000, 0.2, 1.2),
    background=Background(10.0),
    camera=Emccd(3.0, 200.0, 1.0),
    frames=7,
    height_px=16,
    width_px=24,
    seed=5,
)


def _film(scene: Scene) -> Film:
    return joined(list(scene.blocks()))


def test_long_films_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = _film(replace(SCENE, frames=3))
    monkeypatch.setattr("smlm_training.simulation.scene._BLOCK_PIXELS", 3 * 16 * 24 + 5)
    blocks = list(SCENE.blocks())
    assert [len(block.frames_adu) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(blocks[0].frames_adu, at_once.frames_adu)
    assert (blocks[1].frames_adu != blocks[0].frames_adu).any()
    again = list(SCENE.blocks())
    np.testing.assert_array_equal(blocks[2].frames_adu, again[2].frames_adu)


def test_blocks_are_frames_that_fit_into_memory() -> None:
    assert SCENE.block_frames == 2**23 // (16 * 24)
    assert replace(SCENE, height_px=4096, width_px=4096).block_frames == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"background": Background(40.0, "patchy")},
        {"camera": ScmosChip()},
        {"psf": "sampled"},
    ],
    ids=["background", "camera", "psf"],
)
def test_a_seed_gives_the_same_molecules_in_any_light(changes: dict[str, Any]) -> None:
    first, other = _film(SCENE), _film(replace(SCENE, **changes))
    np.testing.assert_array_equal(first.emitters.y_px, other.emitters.y_px)
    np.testing.assert_array_equal(first.emitters.photons, other.emitters.photons)
    assert (first.frames_adu != other.frames_adu).any()


def test_film_has_the_scenes_background_and_camera() -> None:
    scene = replace(
        SCENE,
        sample=UniformSample(0.0),
        background=Background(20.0, "graded"),
        camera=ScmosChip(2.0, 150.0, 2.0),
        frames=3000,
    )
    camera = ScmosChip(2.0, 150.0, 2.0).camera(16, 24)
    expected_adu = scene.background_photons * camera.adu_per_photon + camera.offset_adu - 0.5
    off_adu = _film(scene).frames_adu.mean(axis=0) - expected_adu
    assert np.ptp(expected_adu) > 30
    assert np.abs(off_adu).max() < 5 * np.sqrt(4 * 30 / 3000)


def test_wide_spots_shine_in_from_farther() -> None:
    assert SCENE.field.border_px == 6.0
    assert replace(SCENE, fluorophore=Fluorophore(1, 0, 3.0)).field.border_px == 15.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"psf": "airy"}, "PSF is 'airy'; expected one of integrated, sampled"),
        ({"frames": 1}, "number of frames is 1; expected a whole number from 2"),
        ({"height_px": 8}, "height in pixels is 8; expected a whole number from 16 to 4096"),
        ({"width_px": 64.0}, "width in pixels is 64.0; expected a whole number"),
        ({"pixel_size_nm": 0.1}, "pixel size in nm is 0.1; expected a number from 10"),
        ({"seed": -1}, "seed is -1"),
        ({"camera": Emccd(0.0, 100.0)}, "camera gain in ADU a photon is 0.0"),
        ({"camera": Emccd(1.0, -1.0)}, "camera offset in ADU is -1.0"),
        ({"camera": ScmosChip(read_noise_adu=-2.0)}, "camera read noise in ADU is -2.0"),
    ],
)
def test_what_cannot_be_filmed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        replace(SCENE, **changes)


@pytest.mark.parametrize(
    "scene",
    [
        SCENE,
        PRESETS["evaluate"],
        PRESETS["filaments-9"],
        replace(SCENE, sample=RingSample(sites=0), camera=ScmosChip(gain_map="/a/map.tif")),
        replace(SCENE, sample=SpotSample(), background=Background(5.0, "patchy")),
    ],
    ids=["uniform", "evaluate", "filaments-9", "rings", "spots"],
)
def test_what_is_written_is_read(scene: Scene, tmp_path: Path) -> None:
    write_scene(tmp_path / "simulation.json", scene, molecules=3)
    assert read_scene(tmp_path / "simulation.json") == scene
    table = json.loads((tmp_path / "simulation.json").read_text())
    assert table["molecules"] == 3
    assert table["made_by"].startswith("recon-train simulate; smlm-recon ")


def _changed(path: Path, part: str, **changes: Any) -> Path:
    """A written scene of which a part has other settings."""
    write_scene(path, SCENE, molecules=3)
    table = json.loads(path.read_text())
    (table["scene"][part] if part else table["scene"]).update(changes)
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("sample", {"kind": "worms"}, "kind of sample is 'worms'; expected one of uniform, fil"),
        ("camera", {"kind": None}, "kind of camera is None; expected one of emccd, scmos"),
        ("camera", {"gain": 2}, "a setting of camera is 'gain'; expected one of adu_per_photon"),
        ("fluorophore", {"photons": "bright"}, "photons is 'bright'; expected a number"),
        ("background", {"kind": 3}, "background kind is 3"),
        ("", {"frames": True}, "number of frames is True"),
        ("", {"colour": "red"}, "a setting of scene is 'colour'"),
    ],
)
def test_other_settings_in_a_file_are_refused(
    tmp_path: Path, part: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        read_scene(_changed(tmp_path / "scene.json", part, **changes))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scene": 3}', '{"scene": {"sample": 3}}'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scene.json"
    path.write_text(content)
    with pytest.raises(SettingError, match=r"scene\.json is not the simulation\.json of a film"):
        read_scene(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"FileNotFoundError.*writes one beside each film"):
        read_scene(tmp_path / "none.json")
