"""What the cameras make of photons: means, variances, maps and the ends of the scale."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_training.simulation.camera import Camera, Emccd, Scmos

READINGS = 200_000
FLOOR_ADU = -0.5
"""Mean of what is lost to whole numbers."""
FLOOR_VARIANCE_ADU2 = 1 / 12


def _readings(camera: Camera, photons: float, seed: int = 1) -> NDArray[np.float64]:
    frames = camera.expose(np.random.default_rng(seed), np.full((READINGS // 100, 10, 10), photons))
    assert frames.dtype == np.uint16
    return frames.astype(np.float64)


def _check_moments(readings: NDArray[np.float64], mean_adu: float, variance_adu2: float) -> None:
    """Mean within five standard errors, variance within 3 percent."""
    error_adu = np.sqrt(variance_adu2 / readings.size)
    assert readings.mean() == pytest.approx(mean_adu, abs=5 * error_adu)
    assert readings.var() == pytest.approx(variance_adu2, rel=0.03)


@pytest.mark.parametrize("photons", [5.0, 20.0, 300.0])
@pytest.mark.parametrize("read_noise_adu", [0.0, 4.0])
def test_emccd_doubles_the_variance_of_light(photons: float, read_noise_adu: float) -> None:
    gain = 7.0
    readings = _readings(Emccd(gain, 100.0, read_noise_adu), photons)
    excess_noise_factor = 2
    variance_adu2 = excess_noise_factor * gain**2 * photons + read_noise_adu**2
    _check_moments(readings, gain * photons + 100 + FLOOR_ADU, variance_adu2 + FLOOR_VARIANCE_ADU2)


def test_emccd_reads_its_offset_in_the_dark() -> None:
    np.testing.assert_array_equal(_readings(Emccd(20.0, 100.4), 0.0), 100)


@pytest.mark.parametrize("photons", [5.0, 20.0, 300.0])
def test_scmos_keeps_the_variance_of_light(photons: float) -> None:
    gain, read_noise_adu = 2.5, 3.0
    readings = _readings(Scmos(gain, 100.0, read_noise_adu), photons)
    variance_adu2 = gain**2 * photons + read_noise_adu**2
    _check_moments(readings, gain * photons + 100 + FLOOR_ADU, variance_adu2 + FLOOR_VARIANCE_ADU2)


def test_scmos_without_read_noise_counts_electrons() -> None:
    photons = np.full((50, 8, 8), 12.0)
    counts = np.random.default_rng(3).poisson(photons)
    frames = Scmos(1.0, 100.0, 0.0).expose(np.random.default_rng(3), photons)
    np.testing.assert_array_equal(frames, counts + 100)


def test_scmos_maps_belong_to_pixels() -> None:
    rng = np.random.default_rng(4)
    shape, photons, frames = (6, 7), 40.0, 20_000
    gain, offset_adu, read_noise_adu = (
        rng.uniform(low, high, shape) for low, high in ((0.5, 3.0), (50.0, 500.0), (1.0, 10.0))
    )
    camera = Scmos(gain, offset_adu, read_noise_adu)
    readings = camera.expose(rng, np.full((frames, *shape), photons))
    variance_adu2 = gain**2 * photons + read_noise_adu**2 + FLOOR_VARIANCE_ADU2
    error_adu = np.sqrt(variance_adu2 / frames)
    off_adu = np.abs(readings.mean(axis=0) - (gain * photons + offset_adu + FLOOR_ADU))
    assert (off_adu < 5 * error_adu).all()
    np.testing.assert_allclose(readings.var(axis=0), variance_adu2, rtol=5 * np.sqrt(2 / frames))


@pytest.mark.parametrize("camera", [Emccd(20.0, 100.0, 2.0), Scmos(2.0, 100.0, 2.0)])
def test_readings_end_at_the_largest_uint16(camera: Camera) -> None:
    np.testing.assert_array_equal(_readings(camera, 1e6), 65_535)


@pytest.mark.parametrize("camera", [Emccd(20.0, 3.0, 50.0), Scmos(2.0, 3.0, 50.0)])
def test_readings_do_not_wrap_below_zero(camera: Camera) -> None:
    readings = _readings(camera, 0.0)
    assert readings.min() == 0
    assert readings.max() < 1000
    assert np.mean(readings == 0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("camera", [Emccd(2.0, 100.0, 1.0), Scmos(2.0, 100.0, 1.0)])
def test_same_seed_gives_the_same_readings(camera: Camera) -> None:
    first, again, other = (_readings(camera, 30.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
