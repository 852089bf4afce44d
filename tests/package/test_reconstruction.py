"""The path as a whole, with a network of a few lines in place of the trained one."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.events import RecordedEvents
from fakes.films import ArrayFilm, spots_adu
from fakes.transports import ComputingTransport, ScriptedTransport, neighbour_detections
from smlm_pipeline import contract, reconstruction
from smlm_pipeline.compute.draw import DRAWN_FROM
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.settings import Settings

LINES_MAX = 60


def _directly(frames_adu: NDArray[np.uint16], zoom: int) -> NDArray[np.float32]:
    """The image of a whole film, emitter by emitter."""
    shown_adu, levels_adu = prepared(frames_adu)
    background, scale = (level[:, None, None, None] for level in levels_adu.T)
    fill = ((0, 0), *((0, -size % contract.SIZE_MULTIPLE_PX) for size in frames_adu.shape[1:]))
    filled = np.pad(shown_adu, fill, mode="edge")
    detections = neighbour_detections((filled[:, None] - background) / scale)
    _, height_px, width_px = frames_adu.shape
    image = np.zeros((height_px * zoom, width_px * zoom))
    probability, offset_y, offset_x = detections.transpose(1, 0, 2, 3)[:3]
    for frame, row, column in np.argwhere(
        probability[:, :height_px, :width_px] > DRAWN_FROM
    ).tolist():
        y = row * zoom + int(np.floor((offset_y[frame, row, column] + 0.5) * zoom))
        x = column * zoom + int(np.floor((offset_x[frame, row, column] + 0.5) * zoom))
        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
            image[y, x] += np.rint(probability[frame, row, column] * contract.WEIGHT_ONE)
    return (image / contract.WEIGHT_ONE).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((12, 32, 32), Settings(refine="off")),
        ((12, 30, 33), Settings(refine="off", zoom=5, chunk_frames=5, in_flight=3)),
        ((3, 21, 18), Settings(refine="off", zoom=1, chunk_frames=1, in_flight=1)),
        ((4, 70, 101), Settings(refine="off", zoom=4, chunk_frames=3, tile_px=64)),
    ],
)
def test_image_equals_a_direct_computation(shape: tuple[int, int, int], settings: Settings) -> None:
    frames_adu = spots_adu(*shape)
    transport = ComputingTransport()
    result = reconstruction.reconstruct(ArrayFilm(frames_adu), transport, settings)
    expected = _directly(frames_adu, settings.zoom)
    assert expected.sum() > 1
    np.testing.assert_array_equal(result.image, expected)
    assert result.image.dtype == np.float32
    backgrounds_adu = prepared(frames_adu)[1][:, 0]
    assert result.survey.sample.backgrounds_adu.tolist() == backgrounds_adu.tolist()
    assert (result.frame_count, result.chunk_count) == (shape[0], len(transport.requests))
    assert result.frames_per_s == pytest.approx(shape[0] / result.elapsed_s)


@pytest.mark.parametrize("tile_px", [64, 512])
def test_progress_adds_up_to_the_frames(tile_px: int) -> None:
    events = RecordedEvents()
    settings = Settings(refine="off", chunk_frames=3, tile_px=tile_px)
    result = reconstruction.reconstruct(
        ArrayFilm(spots_adu(10, 68, 16)), ComputingTransport(), settings, events=events
    )
    frames = events.frames
    assert frames[0] == 0
    assert len(frames) == 1 + result.chunk_count
    assert min(frames[1:]) > 0
    assert sum(frames) == pytest.approx(10)


def test_requests_say_what_they_hold() -> None:
    transport = ComputingTransport()
    stack = ArrayFilm(spots_adu(5, 68, 16))
    result = reconstruction.reconstruct(
        stack, transport, Settings(refine="off", zoom=3, chunk_frames=4, tile_px=64)
    )
    assert sorted(transport.requests) == [
        "frame 4, tile at y 0, x 0",
        "frame 4, tile at y 28, x 0",
        "frames 0 to 3, tile at y 0, x 0",
        "frames 0 to 3, tile at y 28, x 0",
    ]
    last = transport.requests["frame 4, tile at y 28, x 0"]
    assert last.window == Window(3, 24, 0, 40, 16)
    sample = result.survey.sample
    assert last.levels_adu.tolist() == [[sample.backgrounds_adu[4], sample.scales_adu[4]]]
    np.testing.assert_array_equal(last.frames_adu, stack.read(4, 5)[:, 4:68])


def test_a_request_goes_beyond_the_field_with_its_last_rows() -> None:
    transport = ComputingTransport()
    reconstruction.reconstruct(ArrayFilm(spots_adu(3, 18, 21)), transport, Settings(refine="off"))
    (request,) = transport.requests.values()
    assert request.frames_adu.shape == (3, 20, 24)
    beyond = request.frames_adu[:, 18:]
    np.testing.assert_array_equal(beyond, request.frames_adu[:, 17:18].repeat(2, axis=1))


def test_a_failing_chunk_ends_it_and_no_more_is_read() -> None:
    stack = ArrayFilm(spots_adu(40, 16, 16))
    failing = ScriptedTransport({"frame 0, tile at y 0, x 0": [InferenceError("no")]})
    settings = Settings(refine="off", brightness="off", chunk_frames=1, in_flight=1, level_frames=1)
    with pytest.raises(InferenceError, match="no"):
        reconstruction.reconstruct(stack, failing, settings)
    assert stack.reads in ([(0, 1), (0, 1)], [(0, 1), (0, 1), (1, 2)]), "one is read ahead"


def test_the_path_fits_on_a_screen() -> None:
    (tree,) = ast.parse(inspect.getsource(reconstruction.reconstruct)).body
    assert isinstance(tree, ast.FunctionDef)
    assert tree.end_lineno is not None
    assert tree.end_lineno - tree.lineno + 1 <= LINES_MAX
    loops = [ast.unparse(node.iter) for node in ast.walk(tree) if isinstance(node, ast.For)]
    assert loops == ["answers"], "the only loop is over chunks"
