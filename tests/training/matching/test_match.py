"""``recon-train match``: known optics, molecules and cameras are recovered from films alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import ThunderStorm
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes.format_films import write_zarr
from fakes.nd2_files import write_nd2
from smlm_pipeline.errors import FilmError
from smlm_training.cli import app
from smlm_training.fitting.preset_files import recipe_of
from smlm_training.fitting.ranges import Ranges
from smlm_training.matching.camera_levels import KINDS, NoiseLine, camera_levels
from smlm_training.matching.crowding import crowding_of_places, line_width_px
from smlm_training.matching.estimates import KnownCamera, Value, estimate
from smlm_training.matching.moments import LAG_PX_MAX, NOISE_TAPS, measure
from smlm_training.matching.psf_width import fit_spot
from smlm_training.simulation.camera import Emccd, Scmos
from smlm_training.simulation.simulate import Film, Fluorophore, film
from smlm_training.simulation.spot import overlap, pair_overlap, profile
from smlm_training.simulation.structures import Structure, Uniform, wavy_filaments

SIZE_PX, FRAMES = 64, 200
EMCCD, SCMOS = KnownCamera(KINDS["emccd"]), KnownCamera(KINDS["scmos"])


@dataclass(frozen=True)
class Case:
    """What a film is made with; filaments have so many molecules per micrometre."""

    sigma_px: float = 1.1
    photons: float = 1500
    spread: float = 0.2
    density: float = 6
    filaments: bool = False
    background_photons: float = 20
    graded: bool = False
    emccd: bool = True
    gain_adu: float = 2
    offset_adu: float = 100
    read_noise_adu: float = 0
    frames: int = FRAMES

    def film(self, seed: int = 1) -> Film:
        rng = np.random.default_rng(seed)
        background = np.full((SIZE_PX, SIZE_PX), float(self.background_photons))
        if self.graded:
            background *= np.linspace(0.4, 1.6, SIZE_PX)
        kind = Emccd if self.emccd else Scmos
        return film(
            rng,
            structure=self._structure(rng),
            fluorophore=Fluorophore(self.photons, self.spread, self.sigma_px),
            camera=kind(self.gain_adu, self.offset_adu, self.read_noise_adu),
            background_photons=background,
            frames=self.frames,
            height_px=SIZE_PX,
            width_px=SIZE_PX,
        )

    def _structure(self, rng: np.random.Generator) -> Structure:
        if not self.filaments:
            return Uniform(SIZE_PX, SIZE_PX, self.density / 100, 6.0)
        return wavy_filaments(
            rng,
            height_px=SIZE_PX,
            width_px=SIZE_PX,
            spacing_px=(3.0, 9.0),
            crossing_share=0.15,
            density_per_px=self.density / 10,
            radius_px=0.05,
            border_px=6.0,
        )


CASES = {
    "plain": Case(density=1),
    "dense": Case(),
    "denser": Case(density=9),
    "sparse": Case(density=0.3),
    "narrow": Case(sigma_px=0.95),
    "wide": Case(sigma_px=1.5),
    "dim": Case(photons=800),
    "bright": Case(photons=3000, sigma_px=0.95),
    "filaments": Case(filaments=True, density=3.5),
    "graded": Case(graded=True, filaments=True, density=3.5),
    "varied": Case(spread=0.5, density=1),
    "gain": Case(gain_adu=10, offset_adu=500, read_noise_adu=4, density=3),
    "scmos": Case(emccd=False, gain_adu=1, read_noise_adu=1.6, density=3),
    "scmos filaments": Case(emccd=False, read_noise_adu=4, filaments=True, density=3.5),
}
TOLERANCES = {
    "sigma_px": 0.025,
    "photons": 0.2,
    "density_per_px2": 0.25,
    "gain_adu_per_photon": 0.07,
    "offset_adu": 0.1,
}
"""Relative, of a film of 200 frames of 64 x 64 pixels; photons of filaments are the worst, since
the film does not tell how much they spread."""
BACKGROUND_TOLERANCE_PHOTONS = 10.0
ERRORS_MOST = 3.5
"""By how many of its own errors an estimate may be off."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_known_films_are_recovered(case: Case) -> None:
    made = case.film()
    inside = made.emitters.inside(SIZE_PX, SIZE_PX)
    found = estimate(made.frames_adu, EMCCD if case.emccd else SCMOS)
    truths = {
        "sigma_px": case.sigma_px,
        "photons": float(made.emitters.photons[inside].mean()),
        "density_per_px2": inside.sum() / FRAMES / SIZE_PX**2,
        "gain_adu_per_photon": case.gain_adu,
        "offset_adu": case.offset_adu,
    }
    for name, truth in truths.items():
        value: Value = getattr(found, name)
        assert value.value == pytest.approx(truth, rel=TOLERANCES[name]), name
        assert abs(value.value - truth) < ERRORS_MOST * value.error, name
    off_photons = abs(found.background_photons.value - case.background_photons)
    assert off_photons < BACKGROUND_TOLERANCE_PHOTONS
    assert off_photons < ERRORS_MOST * found.background_photons.error
    assert abs(found.photons_spread.value - case.spread) < ERRORS_MOST * found.photons_spread.error


def test_thunderstorms_film_is_recovered(thunderstorm: ThunderStorm) -> None:
    """Twenty frames; sigma is 1.06 to 1.15 px, photons 2000 to 2500, 6 per um2, background 20."""
    found = estimate(thunderstorm.frames_adu, EMCCD)
    assert found.sigma_px.value == pytest.approx(1.105, rel=0.03)
    assert found.photons.value == pytest.approx(2250, rel=0.15)
    assert found.density_per_px2.value == pytest.approx(4956 / 20 / 64**2, rel=0.2)
    assert found.gain_adu_per_photon.value == pytest.approx(2, rel=0.05)
    assert abs(found.offset_adu.value - 100) < 2 * found.offset_adu.error < 40
    assert abs(found.background_photons.value - 20) < 2 * found.background_photons.error


def test_a_wrong_kind_of_camera_changes_photons_and_not_density() -> None:
    frames_adu = CASES["plain"].film().frames_adu
    right, wrong = estimate(frames_adu, EMCCD), estimate(frames_adu, SCMOS)
    assert wrong.photons.value == pytest.approx(right.photons.value / 2, rel=0.05)
    assert wrong.density_per_px2 == right.density_per_px2
    assert wrong.sigma_px == right.sigma_px


def test_more_frames_make_it_surer() -> None:
    few, many = (estimate(Case(density=3, frames=n).film().frames_adu, EMCCD) for n in (25, 400))
    for name, share in (("density_per_px2", 0), ("offset_adu", 0), ("gain_adu_per_photon", 0.04)):
        by_chance = [
            np.sqrt(each.error**2 - (share * each.value) ** 2)
            for each in (getattr(many, name), getattr(few, name))
        ]
        assert by_chance[0] < 0.75 * by_chance[1]
    assert many.photons.error < few.photons.error


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("known", [(2.0, None), (None, 100.0), (2.0, 100.0), (None, None)])
def test_what_is_known_of_the_camera_gives_the_rest(
    kind: Any, known: tuple[float | None, float | None]
) -> None:
    """50 photons at 2 ADU over 100 ADU: shot noise of 2 ADU x 100 ADU x excess, and read noise."""
    read_adu = 3.0 if kind.name == "emccd" else 3.0 * 2
    line = NoiseLine(2 * kind.excess, 200 * kind.excess + read_adu**2, 200.0)
    levels = camera_levels(line, kind, 3.0, gain_adu=known[0], offset_adu=known[1])
    assert levels == pytest.approx((2, 100))


def test_offset_above_the_light_gives_no_gain() -> None:
    line = NoiseLine(4.0, 400.0, 200.0)
    gain_adu, _ = camera_levels(line, KINDS["emccd"], 0.0, gain_adu=None, offset_adu=300.0)
    assert np.isnan(gain_adu)


def test_overlaps_of_a_spot() -> None:
    lags = np.arange(-12, 13)
    assert pair_overlap(1.1, lags).sum() == pytest.approx(1)
    assert pair_overlap(1e-3, np.array([0, 1, 2])) == pytest.approx([1, 0, 0], abs=2e-3)
    integrals = [overlap(profile(1.1), profile(1.1, lag)) for lag in range(4)]
    assert pair_overlap(1.1, np.arange(4)) == pytest.approx(integrals, abs=1e-6)
    ratio = pair_overlap(1.1, np.array([2]))[0] / pair_overlap(1.1, np.array([0]))[0]
    assert ratio == pytest.approx(np.exp(-4 / (4 * (1.1**2 + 1 / 12))), rel=0.01)


def test_spot_is_fitted_to_its_own_covariances() -> None:
    rows_px, columns_px = np.arange(LAG_PX_MAX + 1), np.arange(-LAG_PX_MAX, LAG_PX_MAX + 1)
    covariance_adu2 = 300 * np.outer(pair_overlap(1.23, rows_px), pair_overlap(1.23, columns_px))
    covariance_adu2 += 0.7
    covariance_adu2[0, LAG_PX_MAX] += 1e4  # noise of the camera
    spot = fit_spot(covariance_adu2)
    assert spot.sigma_px == pytest.approx(1.23, abs=1e-3)
    assert spot.strength_adu2 == pytest.approx(300, rel=1e-3)
    assert spot.misfit < 1e-4


def test_moments_of_white_noise() -> None:
    """Whole numbers from 0 to 40, all as likely: a variance of (41^2 - 1) / 12 = 140."""
    frames_adu = np.random.default_rng(3).integers(0, 41, (40, 48, 48), dtype=np.uint16)
    moments = measure(frames_adu).mean()
    centre = (0, LAG_PX_MAX)
    assert moments.covariance_adu2[centre] == pytest.approx(140, rel=0.02)
    assert np.abs(np.delete(moments.covariance_adu2.ravel(), LAG_PX_MAX)).max() < 3
    assert moments.noise_adu2 == pytest.approx(140 * (1 - 1 / 40), rel=0.04)
    assert moments.light_adu == pytest.approx(20, rel=0.01)
    assert np.sum(NOISE_TAPS**2) == pytest.approx(1)


def test_crowding_of_uniform_and_of_lines() -> None:
    uniform = crowding_of_places(CASES["dense"].film().frames_adu)
    lines = crowding_of_places(CASES["filaments"].film().frames_adu)
    assert 0.7 < uniform[0] < 1 < uniform[1] < 1.35
    assert lines[0] < 0.2
    assert 2 < lines[1] < 5
    assert line_width_px(1.1) == pytest.approx((2 * np.pi * (1.21 / 2 + 1 / 24 + 2.25)) ** 0.5)


def _refused(frames_adu: NDArray[np.uint16], message: str) -> None:
    with pytest.raises(FilmError, match=message):
        estimate(frames_adu, EMCCD)


def test_films_that_do_not_blink_are_refused() -> None:
    _refused(np.full((30, 32, 32), 100, np.uint16), "no pixel changes in the frames measured")
    still = np.random.default_rng(1).poisson(200, (60, 32, 32)).astype(np.uint16)
    _refused(still, "no blinking shows: neighbouring pixels do not fluctuate together")


def test_spots_too_wide_are_refused() -> None:
    _refused(Case(sigma_px=6, photons=20_000).film().frames_adu, "spots seem to have a sigma of")


@pytest.fixture
def matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the command in an empty folder, on a film that lies in another one."""
    (tmp_path / "films").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    film_file = tmp_path / "films" / "cells.tif"
    tifffile.imwrite(film_file, Case(density=2).film().frames_adu, photometric="minisblack")
    return lambda *options: _match(film_file, *options)


def _match(film: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["match", str(film), *options])


def test_command_writes_a_preset_that_fit_takes(matching: Callable[..., Any]) -> None:
    result = matching("--pixel-size-nm", "200")
    assert result.exit_code == 0, result.output
    assert "very sure" in result.stdout
    assert "--preset cells.preset.json" in " ".join(result.stdout.split())
    stated = json.loads(Path("cells.preset.json").read_text())
    assert stated["measured_from"]["window_px"] == [0, 0, SIZE_PX, SIZE_PX]
    ranges = recipe_of("cells.preset.json").ranges
    truths = {"sigma_px": 1.1, "photons": 1500, "background_photons": 20, "offset_adu": 100}
    truths |= {"emccd_adu_per_photon": 2, "density_per_um2": 2, "photons_spread": 0.2}
    for name, truth in truths.items():
        low, high = getattr(ranges, name)
        assert low < truth < high, name
    low, high = ranges.photons
    assert high / low < 1.5
    assert ranges.emccd_share == 1
    assert ranges.scmos_adu_per_photon == Ranges().scmos_adu_per_photon


def test_command_takes_the_films_own_pixel_size(matching: Callable[..., Any]) -> None:
    """Of an ND2 film of 160 nm, a Zarr film that does not state it, and as the user says."""
    frames_adu = Case(density=2).film().frames_adu
    films = Path("..", "films")
    write_nd2(films / "nikon.nd2", frames_adu, pixel_um=0.16)
    write_zarr(films / "array.zarr", frames_adu)
    assumed = (
        "recon-train: array.zarr does not state its pixel size; assuming 100 nm "
        "(--pixel-size-nm sets it)\n"
    )
    given = ("--pixel-size-nm", "120")
    cases: list[tuple[str, tuple[str, ...], float, str]] = [
        *[("nikon.nd2", (), 160, ""), ("array.zarr", (), 100, assumed)],
        *[("nikon.nd2", given, 120, ""), ("array.zarr", given, 120, "")],
    ]
    measured = []
    for name, options, expected_nm, message in cases:
        result = _match(films / name, *options, "-o", "preset.json")
        assert result.exit_code == 0, result.output
        assert result.stderr == message
        stated = json.loads(Path("preset.json").read_text())
        assert stated["measured_from"].pop("pixel_size_nm") == pytest.approx(expected_nm)
        assert stated["measured_from"].pop("stack") == name
        measured.append(stated)
    assert all(stated == measured[0] for stated in measured)
    assert matching("-o", "preset.json").exit_code == 0  # the same film as TIFF
    stated = json.loads(Path("preset.json").read_text())
    assert stated["ranges"] == measured[0]["ranges"]


def test_command_takes_a_part_of_a_film(matching: Callable[..., Any]) -> None:
    result = matching("--frames", "20:180", "--roi", "8,4,48,40", "-o", "preset.json")
    assert result.exit_code == 0, result.output
    measured = json.loads(Path("preset.json").read_text())["measured_from"]
    assert measured["frames"] == 160
    assert measured["window_px"] == [4, 8, 40, 48]


def test_command_takes_what_the_user_knows(matching: Callable[..., Any]) -> None:
    known = ("--camera", "scmos", "--gain-adu-per-photon", "4", "--offset-adu", "100")
    result = matching(*known, "-o", "new/mine.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("given") == 2
    ranges = recipe_of("new/mine.json").ranges
    assert ranges.scmos_adu_per_photon == pytest.approx((3.6, 4.4))
    assert ranges.photons[0] < 750 < ranges.photons[1]
    assert ranges.emccd_share == 0


def test_command_refuses_an_unknown_camera(matching: Callable[..., Any]) -> None:
    result = matching("--camera", "ccd")
    assert result.exit_code == 2
    assert "camera is 'ccd'; expected one of emccd, scmos" in result.stderr
    assert not Path("cells.preset.json").exists()
