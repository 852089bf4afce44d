"""``recon-train simulate``: the files it writes, the options it takes and those it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from smlm_pipeline.localise.table_files import read_molecules
from smlm_training.cli import app
from smlm_training.simulation import film_files, presets
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import read_scene

FRAMES, SIZE_PX = 6, 24
FILES = ["positions.csv", "simulation.json", "stack.tif"]


def _invoke(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["simulate", str(folder), *options])


def _simulate(folder: Path, *options: str) -> Any:
    return _invoke(folder, "--frames", str(FRAMES), "--size-px", str(SIZE_PX), *options)


def _scene(folder: Path, *options: str) -> Scene:
    result = _simulate(folder, *options)
    assert result.exit_code == 0, result.output
    return read_scene(folder / "simulation.json")


def _assert_refused(folder: Path, options: list[str], exit_code: int, message: str) -> None:
    result = _invoke(folder, *options)
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not folder.exists()


def test_film_positions_and_settings_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "film"
    result = _simulate(folder)
    assert result.exit_code == 0, result.output
    film = presets.preset_film(
        "microtubules", seed=1, frames=FRAMES, height_px=SIZE_PX, width_px=SIZE_PX
    )
    np.testing.assert_array_equal(tifffile.imread(folder / "stack.tif"), film.frames_adu)
    positions = read_molecules(folder / "positions.csv")
    inside = film.emitters.inside(SIZE_PX, SIZE_PX)
    assert positions.frame.tolist() == np.nonzero(inside)[0].tolist()
    expected_nm = film.emitters.x_px[inside] * 100
    np.testing.assert_allclose(positions.x_nm, expected_nm, rtol=0, atol=1e-5)
    assert f"{FRAMES} frames with {inside.sum():,} emitters" in result.stdout
    assert json.loads((folder / "simulation.json").read_text())["molecules"] == inside.sum()
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_stack_states_its_pixel_size(tmp_path: Path) -> None:
    _scene(tmp_path, "--pixel-size-nm", "80")
    with tifffile.TiffFile(tmp_path / "stack.tif") as film:
        assert film.series[0].axes == "TYX"
        assert (film.imagej_metadata or {})["unit"] == "um"
        numerator, denominator = film.pages.first.tags["XResolution"].value
        assert denominator / numerator == pytest.approx(0.08)


def test_preset_and_seed_decide_the_film(tmp_path: Path) -> None:
    films = []
    for name, seed in (("uniform-9", 1), ("uniform-9", 1), ("uniform-9", 2), ("uniform-1", 1)):
        _scene(tmp_path, "--preset", name, "--seed", str(seed))
        films.append((tmp_path / "stack.tif").read_bytes())
    assert films[0] == films[1]
    assert len(set(films)) == 3


def test_frames_and_seed_are_the_presets_by_default(tmp_path: Path) -> None:
    result = _invoke(tmp_path, "--preset", "evaluate", "--size-px", "16")
    assert result.exit_code == 0, result.output
    scene = read_scene(tmp_path / "simulation.json")
    assert (scene.frames, scene.seed) == (361, presets.PRESETS["evaluate"].seed)
    assert tifffile.imread(tmp_path / "stack.tif").shape == (361, 16, 16)


def test_a_film_is_made_again_from_its_settings(tmp_path: Path) -> None:
    first = tmp_path / "first"
    options = ["--structure", "rings", "--camera", "scmos", "--background-kind", "patchy"]
    _scene(first, *options, "--photons", "700:900", "--height-px", "20", "--seed", "9")
    again = tmp_path / "again"
    result = _invoke(again, "--preset", str(first / "simulation.json"))
    assert result.exit_code == 0, result.output
    for name in FILES:
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_blocks_of_frames_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smlm_training.simulation.scene._BLOCK_PIXELS", 4 * SIZE_PX**2)
    scene = _scene(tmp_path, "--preset", "uniform-9")
    frames_adu = np.concatenate([block.frames_adu for block in scene.blocks()])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "stack.tif"), frames_adu)
    counts = [block.emitters.inside(SIZE_PX, SIZE_PX).sum(axis=1) for block in scene.blocks()]
    positions = read_molecules(tmp_path / "positions.csv")
    assert np.bincount(positions.frame).tolist() == np.concatenate(counts).tolist()


def test_options_take_the_place_of_the_presets_settings(tmp_path: Path) -> None:
    options = {
        "--structure": "spots",
        "--density-per-um2": "12",
        "--photons": "800",
        "--photons-spread": "0.4",
        "--photons-distribution": "lognormal",
        "--sigma-px": "1.2:1.4",
        "--psf": "sampled",
        "--background-photons": "33",
        "--background-kind": "graded",
        "--background-variation": "0.3",
        "--camera": "scmos",
        "--adu-per-photon": "2.5",
        "--offset-adu": "110",
        "--read-noise-adu": "4",
        "--chip-seed": "3",
        "--height-px": "20",
        "--width-px": "32",
        "--pixel-size-nm": "120",
        "--seed": "8",
    }
    scene = _scene(tmp_path, *(word for option in options.items() for word in option))
    assert (scene.sample.kind, scene.sample.density_per_um2) == ("spots", 12)
    light = scene.fluorophore
    assert (light.photons, light.photons_spread) == (800, 0.4)
    assert light.photons_distribution == "lognormal"
    assert light.sigma_px == pytest.approx(1.3)
    assert light.sigma_distribution == "uniform"
    assert light.sigma_spread == pytest.approx(0.1 / 3**0.5 / 1.3)
    background = scene.background
    assert (background.photons, background.kind, background.variation) == (33, "graded", 0.3)
    camera = scene.camera
    assert (camera.adu_per_photon, camera.offset_adu, camera.read_noise_adu) == (2.5, 110, 4)
    assert getattr(camera, "chip_seed", None) == 3
    assert (scene.psf, scene.pixel_size_nm, scene.seed) == ("sampled", 120, 8)
    assert tifffile.imread(tmp_path / "stack.tif").shape == (FRAMES, 20, 32)


def test_table_states_what_was_asked_for(tmp_path: Path) -> None:
    options = ["--preset", "uniform-6", "--photons", "700:900", "--sigma-px", "0.9:1.1"]
    _scene(tmp_path, *options, "--offset-adu", "120", "--background-photons", "25")
    rows = np.loadtxt(tmp_path / "positions.csv", delimiter=",", skiprows=1)
    sigma_nm, photons, offset_photons, noise_photons = rows[:, 4:].T
    assert 90 <= sigma_nm.min() < sigma_nm.max() <= 110
    assert 700 <= photons.min() < photons.max() <= 900
    np.testing.assert_array_equal(offset_photons, 60)  # of 2 ADU
    np.testing.assert_array_equal(noise_photons, 5)


def test_equal_molecules(tmp_path: Path) -> None:
    light = _scene(tmp_path, "--photons-distribution", "constant").fluorophore
    assert (light.photons, light.photons_spread) == (1500, 0)


def test_another_structure_keeps_the_presets_density(tmp_path: Path) -> None:
    scene = _scene(tmp_path, "--preset", "uniform-6", "--structure", "filaments")
    assert (scene.sample.kind, scene.sample.density_per_um2) == ("filaments", 6)


def test_density_of_filaments_by_length(tmp_path: Path) -> None:
    sample = _scene(tmp_path, "--preset", "filaments-6", "--density-per-um", "2").sample
    assert sample.density_per_um2 is None
    assert getattr(sample, "density_per_um", None) == (2, 2)


def test_maps_of_a_chip(tmp_path: Path) -> None:
    offset_adu = np.full((SIZE_PX, SIZE_PX), 100, np.float32)
    offset_adu[5, 7] = 5000
    tifffile.imwrite(tmp_path / "offset.tif", offset_adu)
    folder = tmp_path / "film"
    _scene(folder, "--camera", "scmos", "--offset-map", str(tmp_path / "offset.tif"))
    frames_adu = tifffile.imread(folder / "stack.tif")
    assert frames_adu[:, 5, 7].min() > 4900
    assert np.delete(frames_adu.reshape(FRAMES, -1), 5 * SIZE_PX + 7, axis=1).max() < 4000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "neurons"], "preset is 'neurons'; expected one of microtubules, uniform-1"),
        (["--preset", "none.json"], "none.json is not the simulation.json of a film"),
        (["--frames", "1"], "number of frames is 1; expected a whole number from 2"),
        (["--size-px", "8"], "height in pixels is 8; expected a whole number from 16 to 4096"),
        (["--seed", "-1"], "seed is -1"),
        (["--structure", "worms"], "structure is 'worms'; expected one of uniform, filaments"),
        (["--density-per-um2", "nan"], "density per um2 is nan"),
        (["--density-per-um", "2", "--density-per-um2", "2"], "two densities were given"),
        (["--preset", "uniform-1", "--density-per-um", "2"], "uniform, which have no lines"),
        (["--photons", "many"], "photons is 'many'; expected a mean such as 1500, or from:to"),
        (["--photons", "1:2:3"], "photons is '1:2:3'; expected a mean"),
        (["--photons", "900:700"], "photons is 900 to 700; expected the smaller first"),
        (["--photons", "7:9", "--photons-spread", "1"], "uniform distribution between two ends"),
        (["--photons-distribution", "cauchy"], "photons distribution is 'cauchy'"),
        (["--sigma-px", "110"], "sigma in pixels is 110.0; expected a number from 0.1 to 20"),
        (["--psf", "airy"], "PSF is 'airy'; expected one of integrated, sampled"),
        (["--background-kind", "striped"], "background kind is 'striped'"),
        (["--background-variation", "0.3"], "a variation was given for a flat background"),
        (
            ["--photons-distribution", "constant", "--photons-spread", "0.4"],
            "photons spread is 0.4 and their distribution constant",
        ),
        (["--camera", "ccd"], "camera is 'ccd'; expected one of emccd, scmos"),
        (["--chip-seed", "3"], "chip_seed was given for an EMCCD"),
        (["--adu-per-photon", "0"], "camera gain in ADU a photon is 0.0"),
        (["--frames", "20000", "--size-px", "512"], "take 10.5 GB; an ImageJ TIFF holds 4.3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_film_are_refused(
    tmp_path: Path, options: list[str], message: str
) -> None:
    _assert_refused(tmp_path / "film", options, 2, message)


def test_maps_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "gain.tif", np.ones((16, 20), np.float32))
    options = ["--camera", "scmos", "--gain-map", str(tmp_path / "gain.tif")]
    _assert_refused(tmp_path / "film", options, 2, "shape (16, 20)")
    options[-1] = str(tmp_path / "none.tif")
    _assert_refused(tmp_path / "film", options, 3, "cannot read the map")


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = _simulate(tmp_path / "file" / "film")
    assert result.exit_code == 7
    assert "is there room and a right to write?" in result.stderr


def test_an_interrupted_film_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scene(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(film_files, "write_scene", interrupt)
    assert _simulate(tmp_path, "--seed", "2").exit_code == 130
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
