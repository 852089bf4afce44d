"""Chips whose pixels differ: maps from a seed and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from smlm_pipeline.errors import FilmError, SettingError
from smlm_training.simulation.scmos import ScmosChip

SHAPE = (60, 80)


def test_drawn_maps_have_the_stated_moments() -> None:
    chip = ScmosChip(2.0, 100.0, 3.0, gain_spread=0.03, offset_spread_adu=2.0, variance_spread=0.5)
    camera = chip.camera(*SHAPE)
    gain, offset_adu, noise_adu = camera.adu_per_photon, camera.offset_adu, camera.read_noise_adu
    error = 4 / np.sqrt(60 * 80)
    assert np.shape(gain) == np.shape(offset_adu) == np.shape(noise_adu) == SHAPE
    assert np.mean(gain) == pytest.approx(2.0, rel=0.03 * error)
    assert np.std(gain) == pytest.approx(0.06, rel=error)
    assert np.mean(offset_adu) == pytest.approx(100.0, abs=2 * error)
    assert np.std(offset_adu) == pytest.approx(2.0, rel=error)
    assert np.median(noise_adu) == pytest.approx(3.0, rel=0.5 * error)
    assert np.std(np.log(np.square(noise_adu))) == pytest.approx(0.5, rel=error)


def test_a_chip_is_always_the_same_chip() -> None:
    first, again, other = (ScmosChip(chip_seed=seed).camera(*SHAPE) for seed in (1, 1, 2))
    for name in ("adu_per_photon", "offset_adu", "read_noise_adu"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


def test_maps_come_from_files_and_leave_the_others_alone(tmp_path: Path) -> None:
    variance_adu2 = np.arange(4800, dtype=np.float32).reshape(SHAPE)
    tifffile.imwrite(tmp_path / "variance.tif", variance_adu2)
    camera = ScmosChip(variance_map=str(tmp_path / "variance.tif")).camera(*SHAPE)
    np.testing.assert_allclose(camera.read_noise_adu, np.sqrt(variance_adu2))
    drawn = ScmosChip().camera(*SHAPE)
    np.testing.assert_array_equal(camera.offset_adu, drawn.offset_adu)
    np.testing.assert_array_equal(camera.adu_per_photon, drawn.adu_per_photon)


def test_maps_read_as_gain_and_offset(tmp_path: Path) -> None:
    gain, offset_adu = np.full(SHAPE, 0.5), np.full(SHAPE, 101, np.uint16)
    tifffile.imwrite(tmp_path / "gain.tif", gain)
    tifffile.imwrite(tmp_path / "offset.tif", offset_adu)
    chip = ScmosChip(gain_map=str(tmp_path / "gain.tif"), offset_map=str(tmp_path / "offset.tif"))
    camera = chip.camera(*SHAPE)
    np.testing.assert_array_equal(camera.adu_per_photon, gain)
    np.testing.assert_array_equal(camera.offset_adu, offset_adu)


def test_map_of_another_field_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "gain.tif", np.ones((16, 20), np.float32))
    chip = ScmosChip(gain_map=str(tmp_path / "gain.tif"))
    with pytest.raises(SettingError, match=r"shape \(16, 20\) .* frames have \(60, 80\); crop it"):
        chip.camera(*SHAPE)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_map_with_impossible_values_is_refused(tmp_path: Path, value: float) -> None:
    pixels = np.ones(SHAPE, np.float32)
    pixels[3, 4] = value
    tifffile.imwrite(tmp_path / "variance.tif", pixels)
    chip = ScmosChip(variance_map=str(tmp_path / "variance.tif"))
    with pytest.raises(SettingError, match="a value that is negative or no number"):
        chip.camera(*SHAPE)


def test_map_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.tif").write_text("no picture")
    for file in (tmp_path / "map.tif", tmp_path / "none.tif"):
        with pytest.raises(FilmError, match=r"cannot read the map .*expected a TIFF image"):
            ScmosChip(offset_map=str(file)).camera(*SHAPE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain_spread": 0.5}, "gain spread is 0.5; expected a number from 0 to 0.2"),
        ({"offset_spread_adu": -1.0}, "offset spread in ADU is -1.0"),
        ({"variance_spread": 9.0}, "variance spread is 9.0"),
        ({"chip_seed": -1}, "chip seed is -1"),
        ({"gain_map": 5}, "a map is 5; expected the path of a TIFF file"),
    ],
)
def test_other_chips_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ScmosChip(**settings)
