"""Scores, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.tiles import without_margin
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import SettingError
from smlm_training.scoring.evaluate import (
    BLURS_PX,
    equal_sum,
    nmse_fitted_percent,
    nmse_percent,
    psnr_db,
    score,
    truth_image,
    widefield_image,
)
from smlm_training.scoring.figure import write_figure


def _point(row: int, column: int, emitters: float = 1.0) -> NDArray[np.float64]:
    image = np.zeros((40, 50))
    image[row, column] = emitters
    return image


def test_nmse_by_hand() -> None:
    truth = np.array([[3.0, 0.0], [0.0, 4.0]])
    image = np.array([[2.0, 1.0], [0.0, 2.0]])
    assert nmse_percent(image, truth) == pytest.approx(100 * (1 + 1 + 4) / 25)
    assert nmse_percent(truth, truth) == 0
    assert nmse_percent(np.zeros_like(truth), truth) == 100


def test_fitted_nmse_by_hand() -> None:
    """<image, truth> = 14, ||image||^2 = 9, ||truth||^2 = 25: 1 - 196 / 225."""
    truth = np.array([[3.0, 0.0], [0.0, 4.0]])
    image = np.array([[2.0, 1.0], [0.0, 2.0]])
    assert nmse_fitted_percent(image, truth) == pytest.approx(100 * (1 - 196 / 225))
    assert nmse_fitted_percent(5.0 * image, truth) == pytest.approx(100 * (1 - 196 / 225))
    assert nmse_fitted_percent(7.0 * truth, truth) == pytest.approx(0)
    assert nmse_fitted_percent(np.zeros_like(truth), truth) == 100


def test_no_scale_is_better_than_the_fitted_one() -> None:
    rng = np.random.default_rng(3)
    truth = rng.poisson(0.2, (20, 20)).astype(np.float64)
    image = truth + rng.normal(0.1, 0.3, truth.shape)
    best = min(nmse_percent(scale * image, truth) for scale in np.linspace(0, 2, 2001))
    assert nmse_fitted_percent(image, truth) == pytest.approx(best, abs=1e-4)
    assert nmse_fitted_percent(image, truth) <= best


def test_equal_sum_by_hand() -> None:
    truth = np.array([[3.0, 0.0], [0.0, 4.0]])
    scaled = equal_sum(np.array([[1, 1], [0, 0]], np.float32), truth)
    assert scaled.tolist() == [[3.5, 3.5], [0, 0]]
    assert scaled.dtype == np.float64
    assert not equal_sum(np.zeros((2, 2)), truth).any()


def test_psnr_by_hand() -> None:
    truth = np.array([[10.0, 0.0], [0.0, 0.0]])
    image = np.array([[10.0, 2.0], [0.0, 0.0]])
    assert psnr_db(image, truth) == pytest.approx(20 * np.log10(10 / 1))
    assert psnr_db(truth, truth) == float("inf")


def test_truth_counts_emitters_in_their_pixels() -> None:
    y_nm = np.array([0.0, 12.49, 12.5, 26.0, 26.0])
    x_nm = np.array([0.0, 12.49, 37.4, 12.6, 24.9])
    image = truth_image(y_nm, x_nm, shape=(3, 4), sr_pixel_size_nm=12.5)
    assert image.tolist() == [[2, 0, 0, 0], [0, 0, 1, 0], [0, 2, 0, 0]]


def test_truth_leaves_out_what_lies_outside() -> None:
    y_nm = np.array([-0.1, 5.0, 30.0, 5.0, 29.9])
    x_nm = np.array([5.0, -0.1, 5.0, 40.0, 39.9])
    image = truth_image(y_nm, x_nm, shape=(3, 4), sr_pixel_size_nm=10)
    assert image.sum() == image[2, 3] == 1


@pytest.mark.parametrize("zoom", [4, 8, 10])
def test_truth_and_drawing_share_one_grid(zoom: int) -> None:
    """A sure detection at the true place is drawn where the truth counts it."""
    rng = np.random.default_rng(1)
    height_px, width_px = 8, 12
    offset_px = rng.uniform(-0.5, 0.49, (2, height_px, width_px)).astype(np.float32)
    detections = np.zeros((1, len(contract.DETECTION_CHANNELS), height_px, width_px), np.float32)
    detections[0, 0] = 1
    detections[0, 1:3] = offset_px
    window = Window(zoom, 0, 0, height_px, width_px)
    borders_px = np.zeros(contract.CLASS_BORDERS.dims, np.float32)
    (drawn,) = draw(detections, window.as_tensor(), borders_px).dense(window.shape)
    rows, columns = np.mgrid[:height_px, :width_px] + 0.5
    truth = truth_image(
        100 * (rows + offset_px[0]).ravel(),
        100 * (columns + offset_px[1]).ravel(),
        shape=(height_px * zoom, width_px * zoom),
        sr_pixel_size_nm=100 / zoom,
    )
    np.testing.assert_array_equal(without_margin(drawn, zoom), truth * contract.WEIGHT_ONE)


def test_widefield_is_the_mean_above_background() -> None:
    frames = np.array([[[110, 100], [90, 130]], [[130, 100], [90, 150]]], np.uint16)
    image = widefield_image(frames, background_adu=100, zoom=2)
    expected = [[20, 20, 0, 0], [20, 20, 0, 0], [0, 0, 40, 40], [0, 0, 40, 40]]
    assert image.tolist() == expected


def test_blank_image_has_an_nmse_of_100() -> None:
    blank = score(np.zeros((40, 50), np.float32), _point(20, 25))
    assert blank.nmse_percent == pytest.approx((100, 100, 100))
    assert blank.nmse_fitted_percent == pytest.approx((100, 100, 100))
    assert blank.psnr_db[0] == pytest.approx(20 * np.log10(np.sqrt(40 * 50)))
    assert blank.sum_ratio == 0


def test_perfect_image() -> None:
    perfect = score(_point(20, 25), _point(20, 25))
    assert perfect.nmse_percent == (0, 0, 0)
    assert perfect.nmse_fitted_percent == pytest.approx((0, 0, 0))
    assert perfect.psnr_db == (float("inf"),) * 3
    assert perfect.sum_ratio == 1


@pytest.mark.parametrize("factor", [0.01, 3.0])
def test_brightness_does_not_count_but_the_sum_is_told(factor: float) -> None:
    rng = np.random.default_rng(2)
    truth = rng.poisson(0.1, (40, 50)).astype(np.float64)
    image = truth + rng.uniform(0, 0.2, truth.shape)
    one, other = score(image, truth), score(image * factor, truth)
    assert other.nmse_percent == pytest.approx(one.nmse_percent)
    assert other.nmse_fitted_percent == pytest.approx(one.nmse_fitted_percent)
    assert other.psnr_db == pytest.approx(one.psnr_db)
    assert other.sum_ratio == pytest.approx(one.sum_ratio * factor)
    assert one.sum_ratio == pytest.approx(image.sum() / truth.sum())


def test_score_of_a_point_that_is_off_by_one() -> None:
    """Two Gaussians d apart: 2 (1 - exp(-d^2 / 4 sigma^2)); points: 2. Pixels change little."""
    off = score(_point(20, 26), _point(20, 25))
    by_hand = [200.0] + [200 * (1 - np.exp(-1 / (4 * blur_px**2))) for blur_px in BLURS_PX[1:]]
    assert off.nmse_percent == pytest.approx(by_hand, rel=0.01)
    error = np.sqrt(2 / (40 * 50))
    assert off.psnr_db[0] == pytest.approx(20 * np.log10(1 / error))


def test_score_of_half_the_emitters() -> None:
    """All of the sum on one of two far points: each is off by its own height."""
    truth = _point(10, 10) + _point(30, 40)
    half = score(_point(10, 10), truth)
    assert half.nmse_percent == pytest.approx((100, 100, 100), rel=1e-6)
    assert half.nmse_fitted_percent == pytest.approx((50, 50, 50), rel=1e-6)
    assert half.sum_ratio == 0.5


def test_score_wants_one_shape() -> None:
    with pytest.raises(
        SettingError, match=r"the image is \(40, 49\), the truth \(40, 50\) with 1 "
    ):
        score(_point(20, 25)[:, 1:], _point(20, 25))


def test_score_wants_emitters() -> None:
    with pytest.raises(SettingError, match=r"with 0 emitters.*does the table belong to the film\?"):
        score(_point(20, 25), np.zeros((40, 50)))


def test_score_wants_numbers() -> None:
    image = _point(20, 25)
    image[0, 0] = np.nan
    with pytest.raises(SettingError, match="a pixel of the image is not a number"):
        score(image, _point(20, 25))


def _figure(
    path: Path,
    image: NDArray[np.float64],
    truth: NDArray[np.float64],
    widefield: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """The four panels as pixels (4, Y, X, 3), titles and colour bars cut off."""
    shown = truth if widefield is None else widefield
    write_figure(path, widefield=shown, truth=truth, image=image, sr_pixel_size_nm=100)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).astype(np.int64)
    panel = pixels.shape[1] // 4
    rows = slice(pixels.shape[0] // 4, pixels.shape[0] * 7 // 10)
    return np.stack([pixels[rows, panel * index : panel * (index + 1)] for index in range(4)])


def _bright(panel: NDArray[np.int64]) -> NDArray[np.float64]:
    """Middle of the bright pixels, row and column."""
    middle: NDArray[np.float64] = np.argwhere(panel.sum(axis=-1) > 300).mean(axis=0)
    return middle


def test_figure_shows_points_where_they_are(tmp_path: Path) -> None:
    """10 pixels down and 4 to the right, in whatever size a pixel is drawn."""
    panels = [
        _figure(tmp_path / "it.png", point, point) for point in (_point(15, 20), _point(25, 24))
    ]
    for upper, lower in zip(panels[0][:3], panels[1][:3], strict=True):
        down, right = _bright(lower) - _bright(upper)
        assert down > 50
        assert down / right == pytest.approx(2.5, rel=0.05)


def test_truth_and_reconstruction_have_one_white_level(tmp_path: Path) -> None:
    """Half of the truth's brightness, spread over twice the places, looks darker than it."""
    truth = _point(20, 15)
    _, true, half, _ = _figure(tmp_path / "it.png", _point(20, 15) + _point(20, 35), truth)
    assert true.sum(axis=-1).max() > 700  # white
    assert 150 < half.sum(axis=-1).max() < 500  # red to orange
    assert (half.sum(axis=-1) > 150).sum() > 1.2 * (true.sum(axis=-1) > 450).sum()


def test_difference_is_blue_where_missing_and_red_where_too_much(tmp_path: Path) -> None:
    """Missing at the left, too much at the right, black in the middle, where both agree."""
    truth, image = _point(20, 15) + _point(15, 25), _point(20, 35) + _point(15, 25)
    difference = _figure(tmp_path / "it.png", image, truth)[3]
    red, blue = difference[..., 0] - difference[..., 2], difference[..., 2] - difference[..., 0]
    missing, surplus = (np.argwhere(colour > 100)[:, 1] for colour in (blue, red))
    assert len(missing) > 20
    assert len(surplus) == pytest.approx(len(missing), rel=0.25)
    assert surplus.min() - missing.max() > 5 * np.ptp(missing)


def test_figure_does_not_depend_on_the_units_of_the_image(tmp_path: Path) -> None:
    image, truth = _point(20, 15) + _point(15, 25), _point(20, 15) + 2 * _point(15, 25)
    one = _figure(tmp_path / "one.png", image, truth)
    other = _figure(tmp_path / "other.png", 1000 * image, truth)
    np.testing.assert_array_equal(one, other)


def test_figure_of_a_blank_image(tmp_path: Path) -> None:
    blank = np.zeros((40, 50))
    panels = _figure(tmp_path / "blank.png", blank, _point(20, 25), widefield=blank)
    assert np.median(panels[0]) < 20
    assert (panels[3][..., 2] > 200).any()  # all that is true is missing
