"""From detections per pixel to molecules: what is merged, what is not, and how sure it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.errors import ChunkError, SettingError
from smlm_pipeline.localise import localise as module
from smlm_pipeline.localise.localise import localise, molecule_places
from smlm_pipeline.localise.merging import Places, merge, share_surplus
from smlm_training.scoring import inference
from smlm_training.scoring.inference import localise_by_file, localise_film

Pixel = tuple[int, int, int, float, float, float, float]
"""Frame, row, column, probability, y and x of the place in pixels, sigma of both."""

LIGHT = (20.0, 2.0)
"""Intensity of every pixel, and its sigma."""


def _detections(*pixels: Pixel, shape: tuple[int, int, int] = (1, 8, 8)) -> NDArray[np.float32]:
    frames, height, width = shape
    detections = np.zeros((frames, len(contract.DETECTION_CHANNELS), height, width), np.float32)
    detections[:, 3:] = 0.1
    for frame, row, column, probability, y_px, x_px, sigma_px in pixels:
        offsets = (y_px - row - 0.5, x_px - column - 0.5)
        detections[frame, :, row, column] = [probability, *offsets, sigma_px, sigma_px, *LIGHT]
    return detections


def test_one_pixel_is_one_molecule() -> None:
    table = localise(_detections((0, 2, 5, 0.8, 2.25, 5.75, 0.125)), pixel_size_nm=100)
    columns = (table.frame, table.y_nm, table.x_nm, table.sigma_y_nm, table.sigma_x_nm)
    assert [column.tolist() for column in columns] == [[0], [225], [575], [12.5], [12.5]]
    assert table.probability == pytest.approx(0.8)


def test_neighbours_that_agree_are_one_molecule() -> None:
    """Mean (0.5 * 3.0 + 0.25 * 3.2) / 0.75; variance: that of the pixels and of their places."""
    pixels = (0, 2, 3, 0.5, 3.0, 3.5, 0.1), (0, 3, 3, 0.25, 3.2, 3.5, 0.2)
    table = localise(_detections(*pixels), pixel_size_nm=100)
    mean = (0.5 * 3.0 + 0.25 * 3.2) / 0.75
    within = (0.5 * 0.1**2 + 0.25 * 0.2**2) / 0.75
    between = (0.5 * (3.0 - mean) ** 2 + 0.25 * (3.2 - mean) ** 2) / 0.75
    assert table.probability == pytest.approx(0.75)
    assert table.y_nm == pytest.approx(100 * mean)
    assert table.x_nm == pytest.approx(350)
    assert table.sigma_y_nm == pytest.approx(100 * np.sqrt(within + between), rel=1e-5)
    assert table.sigma_x_nm == pytest.approx(100 * np.sqrt(within), rel=1e-5)


def test_four_pixels_around_a_corner_are_one_molecule() -> None:
    pixels = [
        (0, 3 + i, 3 + j, 0.24, 4 + 0.1 * i, 4 - 0.1 * j, 0.1) for i in (0, 1) for j in (0, 1)
    ]
    table = localise(_detections(*pixels), pixel_size_nm=100)
    assert table.probability == pytest.approx(0.96)
    assert (table.y_nm[0], table.x_nm[0]) == pytest.approx((405, 395))


def test_the_sum_of_two_sure_pixels_is_two_molecules() -> None:
    """However near: 0.9 + 0.8 is more than one molecule."""
    pixels = (0, 3, 3, 0.9, 3.9, 3.5, 0.1), (0, 4, 3, 0.8, 4.1, 3.5, 0.1)
    table = localise(_detections(*pixels), pixel_size_nm=100)
    assert table.y_nm.tolist() == pytest.approx([390, 410])
    assert table.probability.tolist() == pytest.approx([0.9, 0.8])


def test_a_doubtful_pixel_goes_to_the_nearer_molecule() -> None:
    pixels = (
        (0, 3, 2, 0.9, 3.5, 2.5, 0.1),
        (0, 3, 3, 0.2, 3.5, 3.2, 0.1),
        (0, 3, 4, 0.8, 3.5, 3.6, 0.1),
    )
    table = localise(_detections(*pixels), pixel_size_nm=100)
    assert table.probability.tolist() == pytest.approx([0.9, 1.0])
    assert table.x_nm.tolist() == pytest.approx([250, 352])


def test_pixels_that_point_elsewhere_stay_apart() -> None:
    pixels = (0, 3, 3, 0.6, 2.9, 3.5, 0.1), (0, 4, 3, 0.6, 5.0, 3.5, 0.1)
    assert len(localise(_detections(*pixels), pixel_size_nm=100).frame) == 2


def test_frames_stay_apart_and_keep_their_numbers() -> None:
    pixels = (0, 3, 3, 0.6, 3.5, 3.5, 0.1), (2, 3, 3, 0.6, 3.5, 3.5, 0.1)
    table = localise(_detections(*pixels, shape=(3, 8, 8)), pixel_size_nm=100, first_frame=10)
    assert table.frame.tolist() == [10, 12]


def test_threshold_is_on_the_sum() -> None:
    pixels = (0, 3, 3, 0.3, 3.9, 3.5, 0.1), (0, 4, 3, 0.3, 4.1, 3.5, 0.1)
    detections = _detections(*pixels, (0, 0, 0, 0.4, 0.5, 0.5, 0.1))
    assert len(localise(detections, pixel_size_nm=100).frame) == 1
    assert len(localise(detections, pixel_size_nm=100, threshold=0.3).frame) == 2
    assert len(localise(detections, pixel_size_nm=100, threshold=0.7).frame) == 0


def test_probability_is_at_most_one() -> None:
    pixels = (0, 3, 3, 0.7, 3.9, 3.5, 0.1), (0, 4, 3, 0.5, 4.1, 3.5, 0.1)
    assert localise(_detections(*pixels), pixel_size_nm=100).probability.tolist() == [1]


def test_what_points_out_of_the_field_is_left_out() -> None:
    pixels = (0, 0, 4, 0.9, -0.2, 4.5, 0.1), (0, 4, 7, 0.9, 4.5, 8.3, 0.1)
    assert len(localise(_detections(*pixels), pixel_size_nm=100).frame) == 0


def test_an_empty_film_has_no_molecules() -> None:
    table = localise(_detections(), pixel_size_nm=100)
    assert [len(column) for column in vars(table).values()] == [0] * 8


@pytest.mark.parametrize(
    ("channel", "value"), [(0, np.nan), (1, np.inf), (4, np.nan), (3, 0.0), (5, 0.0)]
)
def test_an_answer_that_makes_no_sense_is_refused(channel: int, value: float) -> None:
    detections = _detections((0, 3, 3, 0.9, 3.5, 3.5, 0.1))
    detections[0, channel, 3, 3] = value
    with pytest.raises(ChunkError, match="or a sigma or an intensity that is not positive"):
        localise(detections, pixel_size_nm=100)


@pytest.mark.parametrize("most", [1, 7, 40, 1000])
def test_frames_are_merged_in_parts_without_a_difference(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    detections = np.full((9, len(contract.DETECTION_CHANNELS), 12, 12), 0.3, np.float32)
    detections[:, 0] = rng.random((9, 12, 12)) * (rng.random((9, 1, 1)) < 0.7)  # some are empty
    detections[:, 1:3] = rng.uniform(-0.9, 0.9, (9, 2, 12, 12))
    expected = molecule_places(candidates(detections))
    monkeypatch.setattr(module, "_PART", most)
    parts = [len(part.frame) for part in candidates(detections).parts(most)]
    found = molecule_places(candidates(detections))
    assert sum(parts) == len(candidates(detections).frame)
    assert max(parts) <= max(most, 12 * 12)
    for name, column in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), column)


def _crowd(seed: int) -> Places:
    rng = np.random.default_rng(seed)
    count = 2000
    return Places(
        np.sort(rng.integers(0, 5, count)),
        rng.uniform(0.01, 0.9, count),
        rng.uniform(0, 20, (2, count)),
        rng.uniform(0.01, 0.1, (2, count)),
        rng.uniform(5, 50, count),
        rng.uniform(1, 9, count),
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_merging_keeps_all_probability_and_its_place(seed: int) -> None:
    """Sum, centre and second moment of each frame are those before: nothing is lost or moved."""
    places = _crowd(seed)
    merged = merge(places)
    assert 100 < len(merged.frame) < 1700
    for frame in range(5):
        moments = []
        for each in (places, merged):
            here = each.frame == frame
            mean = np.vstack([each.mean_px, each.intensity])[:, here]
            variance = np.vstack([each.variance_px2, each.intensity_variance])[:, here]
            weights = each.probability[here]
            moments.append([weights.sum(), *(mean @ weights), *((variance + mean**2) @ weights)])
        np.testing.assert_allclose(moments[1], moments[0], rtol=1e-9)


def test_merging_ends_when_nothing_can_be_merged() -> None:
    merged = merge(_crowd(4))
    again = merge(merged)
    assert len(again.frame) == len(merged.frame)
    np.testing.assert_array_equal(again.mean_px, merged.mean_px)


def test_places_of_equal_distance_are_merged_once_each() -> None:
    """Three in a row, 0.5 apart: the first two become one; then all three."""
    places = Places(
        np.zeros(3, np.int64),
        np.full(3, 0.3),
        np.array([[1.0, 1.5, 2.0], [1, 1, 1]]),
        np.full((2, 3), 0.01),
        np.array([10.0, 16.0, 22.0]),
        np.full(3, 4.0),
    )
    merged = merge(places)
    assert merged.probability.tolist() == pytest.approx([0.9])
    assert merged.mean_px[:, 0].tolist() == pytest.approx([1.5, 1])
    assert merged.variance_px2[:, 0].tolist() == pytest.approx([0.01 + 0.5 / 3, 0.01])


class _BrightPixels:
    """A network that finds a molecule in the middle of each pixel above 5, and counts its runs."""

    def __init__(self, answer: contract.Answer = contract.DETECTION_ANSWER) -> None:
        self.answer = answer
        self.frames: list[int] = []

    def detect(
        self, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        normalized = normalize(frames_adu, levels_adu)
        count, _, height, width = normalized.shape
        assert height % contract.SIZE_MULTIPLE_PX == width % contract.SIZE_MULTIPLE_PX == 0
        self.frames.append(count)
        detections = np.zeros((count, 7, height, width), np.float32)
        brightest = normalized[:, 0, :22, :17].max(axis=(1, 2), keepdims=True)
        detections[:, 0] = 0.9 * (normalized[:, 0] == brightest)
        detections[:, 3:] = 0.1
        return detections


def _blinking(frames: int) -> NDArray[np.uint16]:
    """22 x 17 pixels of noise; in frame n, pixel (n % 20, 16) is lit, at the right edge.

    Its neighbours are lit, too, as by a molecule: a single bright pixel would be a faulty one.
    """
    noise = np.random.default_rng(1).poisson(100, (frames, 22, 17)).astype(np.uint16)
    for frame, values in enumerate(noise):
        values[max(frame % 20 - 1, 0) : frame % 20 + 2, 15:] += 600
        values[frame % 20, 16] += 1000
    return noise


def test_a_long_film_of_odd_size_is_localised_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated beyond the right edge holds no molecules."""
    monkeypatch.setattr(inference, "_BLOCK_PIXELS", 64 * 24 * 20)
    network: Any = _BrightPixels()
    table = localise_film(network, _blinking(150), pixel_size_nm=100)
    assert network.frames == [64, 64, 22]
    assert table.frame.tolist() == list(range(150))
    assert table.y_nm == pytest.approx(100 * (np.arange(150) % 20) + 50)
    assert table.x_nm == pytest.approx(np.full(150, 1650))


def test_blocks_of_large_frames_hold_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_BLOCK_PIXELS", 10 * 24 * 20)
    network: Any = _BrightPixels()
    assert len(localise_film(network, _blinking(25), pixel_size_nm=100).frame) == 25
    assert network.frames == [10, 10, 5]


def test_a_network_that_answers_with_a_map_has_no_molecules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def maps(*_: object, **__: object) -> _BrightPixels:
        return _BrightPixels(contract.MAP_ANSWER)

    monkeypatch.setattr(inference, "OnnxNetwork", maps)
    with pytest.raises(SettingError, match=r"map.onnx answers with MAP; expected .* DETECTIONS"):
        localise_by_file(Path("map.onnx"), _blinking(8), pixel_size_nm=100)


def _places(*places: tuple[int, float, float]) -> Places:
    """Frame, probability and x in pixels of each."""
    frame, probability, x_px = (np.array(column) for column in zip(*places, strict=True))
    mean_px = np.stack([np.full(len(places), 2.0), x_px])
    variance_px2, light = np.full((2, len(places)), 0.01), np.full(len(places), 20.0)
    return Places(frame, probability.astype(float), mean_px, variance_px2, light, light / 5)


def test_what_exceeds_one_molecule_goes_to_the_nearest_with_room() -> None:
    """0.3 too much: 0.1 fit into the nearest place, 0.2 go to the next; one is too far away."""
    places = _places((0, 1.3, 4.0), (0, 0.9, 4.5), (0, 0.4, 5.2), (0, 0.4, 6.2), (1, 0.4, 4.0))
    shared = share_surplus(places)
    assert shared.probability == pytest.approx([1.0, 1.0, 0.6, 0.4, 0.4])
    np.testing.assert_array_equal(shared.mean_px, places.mean_px)


def test_a_surplus_without_a_neighbour_stays() -> None:
    assert share_surplus(_places((0, 1.2, 4.0), (0, 0.5, 6.5))).probability.tolist() == [1.2, 0.5]
    assert share_surplus(_places((0, 0.7, 4.0))).probability.tolist() == [0.7]
