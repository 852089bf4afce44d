"""A refinement: what a step keeps, that no cut shows, and where it stops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline.refine import bands
from smlm_pipeline.refine.bands import advance
from smlm_pipeline.refine.em import spread
from smlm_pipeline.refine.gaussian import half_kernel, mirrored
from smlm_pipeline.refine.refinement import (
    ITERATIONS_LEAST,
    ITERATIONS_MORE,
    MOLECULES_LEAST,
    Blur,
    Steps,
    choose,
    refine,
)
from smlm_pipeline.run.canvas import Canvas, FileCanvas

Image = NDArray[np.float32]

SIGMAS_PX = (0.5, 1.1, 2.4)
BLUR = Blur.of(SIGMAS_PX)
GRAINED = Blur.of(SIGMAS_PX, 0.6)


def _blur(image: NDArray[np.floating[Any]], sigma_px: float) -> Image:
    """An image under a filter of the refinement."""
    kernel = half_kernel(sigma_px)
    radius = len(kernel) - 1
    wide = image.astype(np.float32)[mirrored(-radius, len(image) + radius, len(image))]
    return spread(wide, kernel, len(image))


def _detections(truth: NDArray[np.float64], seed: int, molecules: int) -> list[Image]:
    """Images of the classes: molecules of a density, each with the error of its class."""
    random = np.random.default_rng(seed)
    images = [np.zeros(truth.shape, np.float32) for _ in SIGMAS_PX]
    places = random.choice(truth.size, molecules, p=truth.ravel() / truth.sum())
    number = random.integers(len(SIGMAS_PX), size=molecules)
    row, column = np.divmod(places, truth.shape[1])
    for each, sigma_px in enumerate(SIGMAS_PX):
        here = number == each
        y, x = (
            np.floor(axis[here] + 0.5 + random.normal(0, sigma_px, here.sum())).astype(int)
            for axis in (row, column)
        )
        inside = (y >= 0) & (y < truth.shape[0]) & (x >= 0) & (x < truth.shape[1])
        np.add.at(images[each], (y[inside], x[inside]), np.float32(1))
    return images


def _lines() -> NDArray[np.float64]:
    """Two lines that cross, 96 x 80."""
    truth = np.zeros((96, 80))
    truth[np.arange(8, 88), 20 + np.arange(80) // 2] = 1
    truth[np.arange(8, 88), 60 - np.arange(80) // 2] = 1
    return truth


def _canvas(image: NDArray[Any]) -> Canvas:
    """A density of an image's shape."""
    height, width = image.shape
    return Canvas((height, width), np.float32)


def _refined(
    classes: Sequence[Image], steps: int, shown: Image | None = None, blur: Blur = BLUR
) -> Image:
    density = _canvas(classes[0])
    refine(classes, _all(classes) if shown is None else shown, blur, density, steps)
    found: Image = density.rows(0, len(classes[0])).copy()
    return found


def _all(classes: Sequence[Image]) -> Image:
    return np.ones_like(classes[0])


def _likelihood(density: Image, classes: Sequence[Image]) -> float:
    expected = (_blur(density, sigma_px) for sigma_px in SIGMAS_PX)
    pairs = zip(expected, classes, strict=True)
    return sum(
        float((detected[detected > 0] * np.log(foretold[detected > 0])).sum(dtype=np.float64))
        for foretold, detected in pairs
    )


def test_each_step_raises_the_likelihood_and_keeps_the_sum() -> None:
    classes = _detections(_lines(), 1, 6000)
    found = [_refined(classes, steps) for steps in range(12)]
    likelihoods = [_likelihood(density, classes) for density in found]
    assert (np.diff(likelihoods) > 0).all()
    total = sum(float(image.sum()) for image in classes)
    for density in found:
        assert density.sum(dtype=np.float64) == pytest.approx(total, rel=1e-6)
        assert density.min() >= 0


def test_a_density_that_explains_its_detections_stays() -> None:
    truth = np.random.default_rng(4).random((40, 50)).astype(np.float32)
    exact = [_blur(truth, sigma_px) for sigma_px in SIGMAS_PX]
    density = _canvas(truth)
    density.put(0, truth)
    advance(density, [image / np.float32(len(SIGMAS_PX)) for image in exact], BLUR.kernels)
    np.testing.assert_allclose(density.rows(0, 40), truth, rtol=1e-5)


def test_detections_without_errors_are_their_own_density() -> None:
    image = np.random.default_rng(5).poisson(0.1, (30, 30)).astype(np.float32)
    density = _canvas(image)
    refine([image], np.ones_like(image), Blur.of([0.05]), density, 1)
    np.testing.assert_allclose(density.rows(0, 30), image, rtol=1e-6)


def test_many_steps_resolve_what_errors_have_blurred() -> None:
    """Two points 5 pixels apart under errors of 2.4 pixels, without noise."""
    truth = np.zeros((41, 41), np.float32)
    truth[20, 18] = truth[20, 23] = 1000
    blur = Blur.of([2.4])
    blurred = _blur(truth, 2.4)
    assert blurred[20, 20] > 0.9 * blurred[20, 18]
    density = _canvas(truth)
    refine([blurred], np.ones_like(truth), blur, density, 400)
    found = density.rows(0, 41)
    assert sorted(np.argsort(found.ravel())[-2:].tolist()) == [20 * 41 + 18, 20 * 41 + 23]
    assert found[20, 20] < 0.1 * found[20, 18]


def test_the_errors_of_a_class_count() -> None:
    """Of two classes on one spot, the precise one says how wide it is."""
    truth = np.zeros((41, 41), np.float32)
    truth[20, 20] = 1
    classes = [_blur(truth, sigma_px) for sigma_px in SIGMAS_PX]
    right = _refined(classes, 30)
    swapped = _refined(classes[::-1], 30)
    assert right[20, 20] > 3 * swapped[20, 20]


@pytest.mark.parametrize("steps", [1, 4])
def test_flips_and_shifts_go_through(steps: int) -> None:
    classes = _detections(_lines(), 6, 3000)
    found = _refined(classes, steps)
    for flip in (np.flipud, np.fliplr):
        flipped = [np.ascontiguousarray(flip(image)) for image in classes]
        np.testing.assert_array_equal(_refined(flipped, steps), flip(found))
    turned = [np.ascontiguousarray(image.T) for image in classes]
    np.testing.assert_allclose(_refined(turned, steps), found.T, rtol=1e-4, atol=1e-6)
    reach = 2 * steps * (len(BLUR.kernels[-1]) - 1)
    wide = [np.pad(image, reach) for image in classes]
    moved = [np.roll(image, (7, -5), (0, 1)) for image in wide]
    inner = (slice(reach, -reach),) * 2
    expected = _refined(wide, steps)[inner]
    found_there = np.roll(_refined(moved, steps), (-7, 5), (0, 1))[inner]
    np.testing.assert_allclose(found_there, expected, rtol=1e-5, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 40),
    band_pixels=st.integers(1, 3000),
    seed=st.integers(0, 99),
)
def test_no_cut_shows(height: int, width: int, band_pixels: int, seed: int) -> None:
    """To the last bit, in images smaller than the filters too."""
    random = np.random.default_rng(seed)
    classes = [random.poisson(0.3, (height, width)).astype(np.float32) for _ in SIGMAS_PX]
    whole = _refined(classes, 3)
    grained = _refined(classes, 3, blur=GRAINED)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bands, "BAND_PIXELS", band_pixels)
        np.testing.assert_array_equal(_refined(classes, 3), whole)
        np.testing.assert_array_equal(_refined(classes, 3, blur=GRAINED), grained)


def test_a_density_in_a_file_is_that_in_memory(tmp_path: Path) -> None:
    classes = _detections(_lines(), 8, 2000)
    with FileCanvas((96, 80), tmp_path, np.float32) as density:
        refine(classes, _all(classes), BLUR, density, 3)
        np.testing.assert_array_equal(density.rows(0, 96), _refined(classes, 3))


def test_nothing_comes_to_lie_where_there_is_no_picture() -> None:
    classes = _detections(_lines(), 9, 3000)
    shown = _all(classes)
    shown[30:50, 20:60] = 0
    seen = [image * shown for image in classes]
    found = _refined(seen, 5, shown)
    assert not found[shown == 0].any()
    total = sum(float(image.sum()) for image in seen)
    assert found.sum(dtype=np.float64) == pytest.approx(total, rel=1e-6)


def _chosen(halves: Sequence[Sequence[Image]], asked: int | None = None) -> tuple[Blur, Steps]:
    def opened() -> Canvas:
        return _canvas(halves[0][0])

    return choose(halves, _all(halves[0]), GRAINED, BLUR, opened, asked, lambda _: None)


def _steps(halves: Sequence[Sequence[Image]], asked: int | None = None) -> Steps:
    return _chosen(halves, asked)[1]


def test_it_stops_before_noise_and_the_image_is_nearer_to_the_truth() -> None:
    truth = scipy.ndimage.gaussian_filter(_lines(), 1.5)
    halves = [_detections(truth, seed, 4000) for seed in (10, 11)]
    blur, steps = _chosen(halves)
    assert blur.grain_px
    assert steps.stop == "likelihood"
    assert steps.taken == len(steps.gains) - 1 + ITERATIONS_MORE > ITERATIONS_LEAST
    assert min(steps.gains[:-1]) >= blur.gain_min > steps.gains[-1]
    both = [one + other for one, other in zip(*halves, strict=True)]
    plain = np.sum(both, axis=0)
    expected = truth * (plain.sum() / truth.sum())

    def error(image: Image) -> float:
        return float(((image - expected) ** 2).sum() / (expected**2).sum())

    assert error(_refined(both, steps.taken, blur=blur)) < 0.8 * error(plain)
    assert error(_refined(both, 60, blur=blur)) > error(_refined(both, steps.taken, blur=blur))


def test_a_grain_is_taken_where_it_foretells_better() -> None:
    """Of a sample without points it does; where molecules return to the same points it does not."""
    spread_out = scipy.ndimage.gaussian_filter(_lines(), 1.0)
    points = np.zeros((96, 80))
    points[8::16, 8::16] = 1
    chosen = []
    for truth in (spread_out, points):
        blur, steps = _chosen([_detections(truth, seed, 10_000) for seed in (20, 21)])
        assert steps.taken >= blur.steps_least
        chosen.append(blur)
    assert chosen == [GRAINED, BLUR]


def test_chance_is_not_sharpened_below_the_grain() -> None:
    """Many steps leave no structure narrower than the grain, and the sum as it was."""
    classes = _detections(np.ones((96, 80)), 22, 8000)
    total = sum(float(image.sum()) for image in classes)
    peaks = []
    for blur in (BLUR, GRAINED):
        found = _refined(classes, 60, blur=blur)
        assert found.sum(dtype=np.float64) == pytest.approx(total, rel=1e-5)
        peaks.append(float(found.max()))
    assert peaks[1] < 0.6 * peaks[0]


def test_a_grain_ends_where_there_is_no_picture() -> None:
    classes = _detections(_lines(), 9, 3000)
    shown = _all(classes)
    shown[30:50, 20:60] = 0
    found = _refined([image * shown for image in classes], 5, shown, GRAINED)
    assert not found[shown == 0].any()
    assert found.any()


def test_more_molecules_allow_more_steps() -> None:
    films = [
        [_detections(_lines(), seed, molecules) for seed in (1, 2)]
        for molecules in (1500, 6000, 100_000)
    ]
    taken = [_steps(halves).taken for halves in films]
    assert taken == sorted(taken)
    assert taken[-1] > taken[0]


def test_a_sample_without_structure_stays_as_it_is() -> None:
    even = np.ones((96, 80))
    steps = _steps([_detections(even, seed, 3000) for seed in (12, 13)])
    assert (steps.taken, steps.stop) == (0, "no gain")


def test_few_molecules_are_not_judged() -> None:
    few = round(MOLECULES_LEAST / 2) - 20
    halves = [_detections(_lines(), seed, few) for seed in (14, 15)]
    assert _steps(halves) == Steps(0, (), "few molecules")
    empty = [[np.zeros((9, 9), np.float32)] * 3] * 2
    assert _steps(empty) == Steps(0, (), "few molecules")


def test_a_number_of_steps_is_taken_and_its_gains_are_stated() -> None:
    halves = [_detections(_lines(), seed, 1000) for seed in (16, 17)]
    steps = _steps(halves, asked=9)
    assert (steps.taken, steps.stop, len(steps.gains)) == (9, "as asked", 9)
    assert steps.gains[0] > 0 > steps.gains[-1]
    one_half = [halves[0], [np.zeros((96, 80), np.float32)] * 3]
    assert _steps(one_half, asked=2) == Steps(2, (), "as asked")
