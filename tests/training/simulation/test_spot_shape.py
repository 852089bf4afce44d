"""Spots that are no round Gaussians: elliptic, in depth, with a halo; and parts of frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.blinks import frame_shares
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.presets import PRESETS
from smlm_training.simulation.profiles import tabulated_profile
from smlm_training.simulation.scene_file import read_scene, write_scene
from smlm_training.simulation.simulate import Emitters, expected_photons, shine
from smlm_training.simulation.spot_shape import SpotShape
from smlm_training.simulation.structures import Uniform


def _widths(frame: NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviations along y and x, without that of a pixel."""
    widths = []
    for axis in (1, 0):
        share = frame.sum(axis=axis) / frame.sum()
        place = np.arange(len(share))
        widths.append(np.sqrt(share @ place**2 - (share @ place) ** 2 - 1 / 12))
    return float(widths[0]), float(widths[1])


@pytest.mark.parametrize("ratio", [1.5, 0.7])
def test_an_elliptic_spot_is_longer_along_one_axis(ratio: float) -> None:
    fluorophore = Fluorophore(1000, 0, 1.4, sigma_spread=0, shape=SpotShape(ratio=ratio))
    emitters = shine(np.random.default_rng(1), Uniform(1, 1, 3.0, 0.0), fluorophore, 1)
    emitters.y_px[:], emitters.x_px[:] = 20.2, 22.7
    (frame,) = expected_photons(emitters, 40, 44)
    assert _widths(frame) == pytest.approx((1.4 * ratio**0.5, 1.4 / ratio**0.5), rel=1e-6)


def test_molecules_in_depth_have_widths_and_ratios_of_their_own() -> None:
    shape = SpotShape(astigmatism=0.4, depth=1.0)
    y, x = shape.draw_widths(np.random.default_rng(2), (5_000,))
    ratio, width = y / x, np.sqrt(y * x)
    assert (ratio.min(), ratio.max()) == pytest.approx((1 / 1.476, 1.476), rel=0.01)
    assert (width.min(), width.max()) == pytest.approx((1.077, 1.416), rel=0.01)
    weight, wider_y, wider_x = np.array(shape.depths()).T
    assert weight @ (wider_y**2 * wider_x) == pytest.approx(np.mean(y**2 * x), rel=0.01)


def test_a_halo_spreads_a_share_of_the_light() -> None:
    one = np.ones((1, 1))
    shape = SpotShape(halo_share=0.2, halo_width=3.0)
    (frame,) = expected_photons(Emitters(30.5 * one, 30.5 * one, one, one), 61, 61, shape=shape)
    assert frame.sum() == pytest.approx(1)
    assert _widths(frame) == pytest.approx([(0.8 + 0.2 * 9) ** 0.5] * 2, rel=1e-6)


def test_a_halo_makes_a_gaussian_an_airy_pattern() -> None:
    """Encircled energy (Born and Wolf, section 8.5.2), by v = 2 pi NA r / wavelength."""
    v = np.linspace(0.05, 16, 300)
    airy = 1 - scipy.special.j0(v) ** 2 - scipy.special.j1(v) ** 2
    sigma = 1.267
    ours = sum(
        share * (1 - np.exp(-(v**2) / (2 * (width * sigma) ** 2)))
        for share, width in SpotShape(halo_share=0.146, halo_width=6.6).parts
    )
    assert np.abs(ours - airy).max() < 0.03


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(SettingError, match=r"ratio of a spot's widths is 9; expected .* 0.2 to 5"):
        SpotShape(ratio=9)
    with pytest.raises(SettingError, match=r"share of the halo is 1.5; expected"):
        SpotShape(halo_share=1.5)


@pytest.mark.parametrize("on_frames", [0.5, 3.0])
def test_shares_of_frames_are_those_of_blinks_that_begin_at_any_time(on_frames: float) -> None:
    rng = np.random.default_rng(3)
    first = rng.uniform(0, 1, 60_000)
    last = first + rng.exponential(on_frames, len(first))
    frame = np.arange(60)[:, None]
    share = np.clip(np.minimum(last, frame + 1) - np.maximum(first, frame), 0, 1)
    share = share[share > 0]
    values, probabilities = frame_shares(on_frames)
    assert probabilities.sum() == pytest.approx(1)
    for power in (1, 2, 3):
        assert probabilities @ values**power == pytest.approx(np.mean(share**power), rel=0.02)
    assert probabilities[-1] == pytest.approx(np.mean(share == 1), abs=0.01)
    drawn = Fluorophore(1.0, 0, 1.1, on_frames=on_frames).draw_photons(rng, 60_000)
    for power in (1, 3):
        assert np.mean(drawn**power) == pytest.approx(np.mean(share**power), rel=0.02)


def test_the_tabulated_profile_is_the_integrated_one() -> None:
    emitters = shine(np.random.default_rng(4), Uniform(48, 48, 0.1, 6.0), Fluorophore(1, 0, 1.2), 3)
    exact = expected_photons(emitters, 48, 48)
    np.testing.assert_allclose(
        expected_photons(emitters, 48, 48, profile=tabulated_profile), exact, rtol=0, atol=5e-4
    )


def test_a_scene_file_keeps_the_shape(tmp_path: Path) -> None:

    scene = PRESETS["evaluate"]
    light = replace(scene.fluorophore, shape=SpotShape(ratio=1.2, depth=0.5), on_frames=2.0)
    scene = replace(scene, fluorophore=light)
    write_scene(tmp_path / "simulation.json", scene, molecules=1)
    assert read_scene(tmp_path / "simulation.json") == scene
