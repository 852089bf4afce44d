"""Every disturbance leaves a film its scale, its backgrounds and its pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.pixel_faults import PixelFaults, grown
from smlm_pipeline.film.sample import sample_of
from smlm_pipeline.film.survey import conditioning_of
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.disturbances import DISTURBANCES, Disturbed, closed_shutter
from smlm_training.simulation.presets import PRESETS
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.simulate import joined

SCENE: Scene = replace(PRESETS["uniform-3"], seed=7, frames=100, height_px=64, width_px=64)
COUNT = SCENE.frames
CAMERA = Emccd(2.0, 100.0)
"""Of the preset."""

SCALE_ERROR = 0.08
"""Most relative difference of the scale from that of the undisturbed film."""

LIGHT_SCALES, UNEVEN_SCALES = 0.025, 0.13
"""Most difference of a frame's mean light above its background, in scales; the second where the
background is uneven, of which a part too small for a network to mind remains."""

RANKS_BELOW = 1.29
"""Standard deviations of the noise by which the mean of normal values between rank 0.02 and 0.20
lies below that of all: (phi(-0.842) - phi(-2.054)) / 0.18."""

KEPT = {
    "shutter closed in the first 10 frames": slice(10, None),
    "shutter closed in half of the film": slice(COUNT, None),
    "shutter closed in every second frame": slice(None, None, 2),
    "second colour of 50 photons": slice(None, None, 2),
    "second colour of 100 photons": slice(None, None, 2),
    "second colour of 150 photons, shaded": slice(None, None, 2),
}
"""Frames of the disturbed film that are those of the undisturbed one; all by default."""

DARK = {
    "shutter closed in the first 10 frames": range(10),
    "shutter closed in one frame": [COUNT // 3],
    "shutter closed in half of the film": range(COUNT),
    "shutter closed in every second frame": range(1, 2 * COUNT, 2),
    "second colour of 50 photons": range(1, 2 * COUNT, 2),
    "second colour of 100 photons": range(1, 2 * COUNT, 2),
}
"""Frames without structure; none by default."""

PIXELS = {
    "20 hot pixels": "hot",
    "20 flickering pixels": "hot",
    "20 dead pixels": "constant",
    "20 saturated pixels": "constant",
    "a dead row and a dead column": "constant",
    "2 rows of zeros at both ends": "constant",
    "8 rows of zeros at both ends": "constant",
    "frame of 1000 ADU around": "constant",
    "mask of zeros around a circle": "constant",
    "round field stop": "outside",
    "round field stop, 80 photons of background": "outside",
    "square field stop, 80 photons of background": "outside",
}
"""Kind of the faulty pixels; none by default."""

UNEVEN = {
    "second colour of 150 photons, shaded",
    "a cell of 150 photons of background",
    "a cell that bleaches",
    "200 photons of background in the middle",
}


@dataclass(frozen=True)
class _Case:
    """A disturbed film, and its frames as they are prepared."""

    film: Disturbed
    conditioning: Conditioning
    frames_adu: NDArray[np.uint16]
    levels_adu: NDArray[np.float32]

    @classmethod
    def of(cls, film: Disturbed) -> _Case:
        conditioning = conditioning_of(film.frames_adu)
        return cls(film, conditioning, *conditioning.apply(film.frames_adu, 0))

    @property
    def scale_adu(self) -> float:
        (segment,) = self.conditioning.segments
        return segment.scale_adu

    def light_adu(self, kept: slice, where: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Mean of some pixels of frames above the background."""
        above = self.frames_adu[kept] - self.levels_adu[kept, :1, None]
        light: NDArray[np.float32] = above[:, where].mean(axis=1)
        return light


@cache
def _undisturbed() -> _Case:
    return _Case.of(Disturbed.of(joined(list(SCENE.blocks()))))


@pytest.fixture(scope="module", params=DISTURBANCES)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def case(name: str) -> _Case:
    rng = np.random.default_rng([SCENE.seed, list(DISTURBANCES).index(name)])
    return _Case.of(DISTURBANCES[name](rng, _undisturbed().film, CAMERA))


def test_steady_film_is_untouched() -> None:
    case = _undisturbed()
    assert SCENE.camera == CAMERA
    np.testing.assert_array_equal(case.frames_adu, case.film.frames_adu)
    assert not case.conditioning.faults.any_of.any()
    assert case.conditioning.faults.fill_adu is None
    assert case.conditioning.shape is None
    assert not case.conditioning.blank.any()


def test_scale_is_that_of_the_undisturbed_film(case: _Case) -> None:
    assert case.scale_adu == pytest.approx(_undisturbed().scale_adu, rel=SCALE_ERROR)


def test_light_above_the_background_is_that_of_the_undisturbed_film(name: str, case: _Case) -> None:
    """In each frame, so what was added to its background is subtracted, apart from its noise."""
    kept, where = KEPT.get(name, slice(None)), case.film.shown & case.film.scored
    differences = case.light_adu(kept, where) - _undisturbed().light_adu(slice(None), where)
    noise_adu = _noise_adu(case.frames_adu[kept], where) - _noise_adu(_frames(name), where)
    most = UNEVEN_SCALES if name in UNEVEN else LIGHT_SCALES
    shown = _shown(name)
    above = RANKS_BELOW * np.maximum(noise_adu, 0) / case.scale_adu
    differences /= case.scale_adu
    assert (differences[shown] > -most).all()
    assert (differences[shown] < most + above[shown]).all()
    assert (case.conditioning.shape is not None) == (name in UNEVEN)


def _noise_adu(frames_adu: NDArray[np.uint16], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Standard deviation of the noise of each frame, from the differences of neighbours."""
    pairs = where[:, 1:] & where[:, :-1]
    differences = np.abs(np.diff(frames_adu.astype(np.float64), axis=2))[:, pairs]
    noise_adu: NDArray[np.float64] = np.median(differences, axis=1) / (0.6745 * 2**0.5)
    return noise_adu


def _shown(name: str) -> NDArray[np.bool_]:
    """Frames of the undisturbed film that are still there."""
    shown = np.ones(COUNT, bool)
    shown[COUNT // 3] = name != "shutter closed in one frame"
    return shown


def test_dark_frames_are_known(name: str, case: _Case) -> None:
    frames_adu = case.film.frames_adu
    sample = sample_of(frames_adu, list(range(len(frames_adu))), case.conditioning)
    assert np.flatnonzero(sample.dark).tolist() == list(DARK.get(name, ()))


def test_faulty_pixels_are_found_and_no_others(name: str, case: _Case) -> None:
    """Beside a round field stop, a pixel with half of the light may count as outside."""
    faults = case.conditioning.faults
    changed = (case.film.frames_adu[KEPT.get(name, slice(None))] != _frames(name)).any(axis=0)
    kind = PIXELS.get(name)
    for each in ("hot", "constant", "outside"):
        found = getattr(faults, each)
        expected = changed if each == kind else np.zeros_like(changed)
        if kind == "outside" == each:
            expected = ~case.film.shown
            assert np.count_nonzero(found & ~expected) < 0.001 * np.count_nonzero(expected)
            assert not (found & ~grown(expected, 1)).any()
            found = found & expected
        np.testing.assert_array_equal(found, expected, each)
    assert faults.fill_adu == (0 if name == "borders of zeros that move" else None)
    assert (faults.worst_hot is not None) == (kind == "hot")
    assert faults.worst_hot is None or changed[faults.worst_hot]


def _frames(name: str) -> NDArray[np.uint16]:
    return _undisturbed().film.frames_adu[: COUNT if name in PIXELS else None]


def test_wide_areas_without_picture_are_blank(name: str, case: _Case) -> None:
    blank, hidden = case.conditioning.blank, ~case.film.shown
    if name == "borders of zeros that move":
        assert not blank.any()
    else:
        np.testing.assert_array_equal(blank, hidden)


def test_frames_and_levels_do_not_depend_on_how_a_film_is_cut(case: _Case) -> None:
    frames_adu = case.film.frames_adu
    for edges in ([0, 1, 8, 50, len(frames_adu)], [37, 61], [len(frames_adu) - 1, len(frames_adu)]):
        for first, last in pairwise(edges):
            shown_adu, levels_adu = case.conditioning.apply(frames_adu[first:last], first)
            np.testing.assert_array_equal(shown_adu, case.frames_adu[first:last])
            np.testing.assert_array_equal(levels_adu, case.levels_adu[first:last])


def test_pixels_with_picture_are_not_changed(name: str, case: _Case) -> None:
    """Only faulty pixels are replaced, and only an uneven background is subtracted."""
    faults: PixelFaults = case.conditioning.faults
    if name in UNEVEN or faults.fill_adu is not None:
        return
    kept = ~faults.any_of
    np.testing.assert_array_equal(case.frames_adu[:, kept], case.film.frames_adu[:, kept])


def test_truth_leaves_out_what_is_hidden(name: str, case: _Case) -> None:
    y_px, x_px = case.film.true_yx_px()
    whole = len(_undisturbed().film.true_yx_px()[0])
    shown = case.film.shown & case.film.scored
    assert shown[y_px.astype(int), x_px.astype(int)].all()
    share = shown.mean() * case.film.shown_frames.mean()
    assert len(y_px) == pytest.approx(share * whole, rel=0.1 if share < 1 else 0)


def test_a_cell_that_flickers_behind_a_shutter_that_is_closed_for_half_of_the_film() -> None:
    """Dark frames do not count for the usual amplitude, nor does any frame lose its levels."""
    scene = replace(PRESETS["filaments-1"], seed=5, frames=300, height_px=48, width_px=48)
    film, rng = Disturbed.of(joined(list(scene.blocks()))), np.random.default_rng(3)
    y, x = np.mgrid[:48, :48] - 23.5
    cell_photons = 150 / (1 + np.exp((np.hypot(y, x) - 16) / 1.5))
    amplitudes = np.clip(rng.normal(1, 0.5, (300, 1, 1)), 0, None)
    light_adu = rng.standard_gamma(rng.poisson(amplitudes * cell_photons) + 1e-10) * 2.0
    lit = film.with_frames(film.frames_adu + light_adu)
    disturbed = closed_shutter("half")(rng, lit, CAMERA)
    conditioning = conditioning_of(disturbed.frames_adu)
    assert np.isfinite(conditioning.apply(disturbed.frames_adu, 0)[1]).all()
    assert conditioning.shape is not None
    largest_adu = conditioning.shape.amplitudes(lit.frames_adu).mean()
    largest_adu *= conditioning.shape.largest_adu
    assert largest_adu == pytest.approx(300 * amplitudes.mean(), rel=0.1)
    undisturbed = conditioning_of(film.frames_adu).segments[0].scale_adu
    assert conditioning.segments[0].scale_adu == pytest.approx(undisturbed, rel=0.08)
