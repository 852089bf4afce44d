"""``recon-train match`` finds the form of the spot and how long molecules shine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.blinking_films import blinking_film, blinks
from smlm_pipeline.film.film import open_film
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.estimates import Estimates, KnownCamera, estimate
from smlm_training.matching.moments import LAG_PX_MAX
from smlm_training.matching.psf_width import best_halo_width, fit_like, fit_spot
from smlm_training.matching.sampling import PAIRS_MAX, sample_film
from smlm_training.matching.wording import rows
from smlm_training.simulation.blinks import frame_correlation, on_frames_of
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.simulate import film
from smlm_training.simulation.spot import pair_overlap
from smlm_training.simulation.spot_shape import SpotShape
from smlm_training.simulation.structures import Uniform

EMCCD = KnownCamera(KINDS["emccd"])
BACKGROUND_PHOTONS = 20.0


def _found(shape: SpotShape, *, spread: float = 0.2, per_px2: float = 0.03) -> Estimates:
    fluorophore = Fluorophore(1500, spread, 1.1, shape=shape, photons_distribution="lognormal")
    made = film(
        np.random.default_rng(1),
        structure=Uniform(64, 64, per_px2, 8.0),
        fluorophore=fluorophore,
        camera=Emccd(2.0, 100.0, 0.0),
        background_photons=BACKGROUND_PHOTONS,
        frames=300,
        height_px=64,
        width_px=64,
    )
    return estimate(made.frames_adu, EMCCD)


@pytest.mark.parametrize("ratio", [1.3, 0.8])
def test_the_axis_along_which_spots_are_longer(ratio: float) -> None:
    found = _found(SpotShape(ratio=ratio))
    assert found.spot_ratio.value == pytest.approx(ratio, abs=4 * found.spot_ratio.error)
    assert found.spot_ratio.error < 0.02
    assert found.sigma_px.value == pytest.approx(1.1, rel=0.03)
    assert found.photons.value == pytest.approx(1500, rel=0.1)


def test_the_light_in_a_halo() -> None:
    found = _found(SpotShape(halo_share=0.2, halo_width=2.5))
    assert found.halo_light.value == pytest.approx(0.2, abs=0.04)
    assert found.halo_width == pytest.approx(2.5, abs=0.6)
    assert found.photons.value == pytest.approx(1500, rel=0.1)
    off_photons = abs(found.background_photons.value - BACKGROUND_PHOTONS)
    assert off_photons < 2 * found.background_photons.error < 20


def test_no_halo_where_there_is_none() -> None:
    found = _found(SpotShape())
    assert found.halo_light.value == 0
    assert found.halo_light.error < 0.05


def test_a_halo_that_hides_in_the_background_is_within_the_errors() -> None:
    """That of an Airy pattern is so wide that it is as good as even."""
    found = _found(SpotShape(halo_share=0.15, halo_width=6.6))
    assert abs(found.photons.value - 1500) < 2.5 * found.photons.error
    off_photons = abs(found.background_photons.value - BACKGROUND_PHOTONS)
    assert off_photons < 2.5 * found.background_photons.error


def test_the_background_of_a_dense_film_is_as_sure_as_it_should_be() -> None:
    found = _found(SpotShape(), spread=0.4, per_px2=0.09)
    off_photons = abs(found.background_photons.value - BACKGROUND_PHOTONS)
    assert off_photons < 2 * found.background_photons.error
    assert found.background_photons.error > 0.1 * 0.09 * 1500


def test_a_spot_with_a_halo_is_fitted_to_its_own_covariances() -> None:
    """Core 1.1 and halo 4.4 px wide: 0.64 of pairs in the core, 0.04 in the halo, 0.32 between."""
    rows_px, columns_px = np.arange(LAG_PX_MAX + 1), np.arange(-LAG_PX_MAX, LAG_PX_MAX + 1)
    widths = ((0.64, 1.1), (0.04, 4.4), (0.32, ((1.1**2 + 4.4**2) / 2) ** 0.5))
    covariance_adu2 = np.zeros((len(rows_px), len(columns_px)))
    for share, width_px in widths:
        overlaps = np.outer(pair_overlap(width_px, rows_px), pair_overlap(width_px, columns_px))
        covariance_adu2 += 300 * share * overlaps
    assert best_halo_width(covariance_adu2) == 4
    spot = fit_spot(covariance_adu2, 4.0)
    assert (spot.sigma_px, spot.halo_light) == pytest.approx((1.1, 0.2), rel=1e-3)
    assert spot.strength_adu2 == pytest.approx(300, rel=1e-3)
    (brighter,) = fit_like(spot, covariance_adu2, [1.02 * covariance_adu2 + 5], 4.0)
    assert brighter.strength_adu2 == pytest.approx(306, rel=1e-3)
    assert brighter.halo_light == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("on_frames", [0.5, 1.0, 4.0])
def test_correlation_of_neighbouring_frames(on_frames: float) -> None:
    """Of one molecule's light in 3,000 frames, with a blink about every hundred."""
    frames, together, alone = 3_000, 0.0, 0.0
    rng = np.random.default_rng(2)
    for _ in range(20):
        lit, _, share = blinks(rng, on_frames=on_frames, count=frames // 100, frames=frames)
        light = np.bincount(lit, share, frames) - share.sum() / frames
        together += light[1:] @ light[:-1]
        alone += light @ light
    assert frame_correlation(on_frames) == pytest.approx(together / alone, abs=0.04)
    assert on_frames_of(frame_correlation(on_frames)) == pytest.approx(on_frames)


@pytest.mark.parametrize("on_frames", [1.0, 5.0])
def test_the_length_of_blinks_and_the_light_of_a_whole_frame(on_frames: float) -> None:
    frames_adu = blinking_film(
        Fluorophore(1500, 0.2, 1.1),
        on_frames=on_frames,
        per_px2=0.03,
        background_photons=BACKGROUND_PHOTONS,
        frames=300,
    )
    found = estimate(frames_adu, EMCCD)
    assert found.on_frames.value == pytest.approx(on_frames, rel=0.15)
    assert abs(found.on_frames.value - on_frames) < 3 * found.on_frames.error
    assert found.photons.value == pytest.approx(1500, rel=0.15)
    assert abs(found.density_per_px2.value - 0.03) < 3.5 * found.density_per_px2.error
    off_photons = abs(found.background_photons.value - BACKGROUND_PHOTONS)
    assert off_photons < 2 * found.background_photons.error


def test_frames_that_follow_one_another_are_read_of_a_long_film(tmp_path: Path) -> None:
    frames_adu = blinking_film(
        Fluorophore(1500, 0.2, 1.1),
        on_frames=2.0,
        per_px2=0.02,
        background_photons=BACKGROUND_PHOTONS,
        frames=1_200,
        size_px=32,
    )
    tifffile.imwrite(tmp_path / "long.tif", frames_adu, photometric="minisblack")
    with open_film(tmp_path / "long.tif") as opened:
        sample = sample_film(opened)
    assert len(sample.frames_adu) == 500
    first, following = sample.pairs_adu
    assert len(first) == len(following) == PAIRS_MAX
    for one, other in zip(first[::40], following[::40], strict=True):
        (place,) = np.flatnonzero((frames_adu == one).all(axis=(1, 2)))
        np.testing.assert_array_equal(frames_adu[place + 1], other)
    found = estimate(sample.frames_adu, EMCCD, sample.pairs_adu)
    assert found.on_frames.value == pytest.approx(2, rel=0.3)


def test_the_report_states_the_spot_and_the_blinks() -> None:
    found = _found(SpotShape(ratio=1.3))
    stated = {row.name: row for row in rows(found, EMCCD, pixel_size_nm=100, area_px2=64**2)}
    assert float(stated["PSF width along y over x"].value) == pytest.approx(1.3, abs=0.03)
    halo = stated["light in a halo of the PSF"]
    assert (halo.value, halo.sureness) == ("0", "none shows")
    assert "each shines in one" in stated["mean length of blinks (frames)"].why
