"""The image through the real Triton server is the image of the in-process engine."""

from __future__ import annotations

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smlm_pipeline import kernels
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.local import LocalTransport
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.server import EmbeddedServer
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_pipeline.transport import PartialSum, Request
from smlm_pipeline.triton import TritonTransport
from smlm_training.presets import preset_film

pytestmark = pytest.mark.triton


@pytest.mark.parametrize("chunk_frames", [1, 7, 32, 64])
def test_bit_for_bit_the_local_image(
    film_file: Path, triton: EmbeddedServer, local_transport: LocalTransport, chunk_frames: int
) -> None:
    cut = Settings(chunk_frames=chunk_frames, in_flight=3)
    with open_stack(film_file) as film, TritonTransport(triton.address) as transport:
        through_triton = reconstruct(film, transport, cut)
        here = reconstruct(film, local_transport, Settings())
    assert through_triton.image.sum() > 1000
    np.testing.assert_array_equal(through_triton.image, here.image)


def test_tiles_and_another_zoom_through_triton(
    tmp_path: Path, triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    path = tmp_path / "wide.tif"
    frames_adu = preset_film("uniform-3", seed=4, frames=4, height_px=90, width_px=214).frames_adu
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    cut = Settings(tile_px=128, zoom=5)
    with open_stack(path) as film, TritonTransport(triton.address) as transport:
        through_triton, here = (
            reconstruct(film, each, cut) for each in (transport, local_transport)
        )
    assert through_triton.chunk_count == 3
    assert through_triton.image.shape == (450, 1070)
    np.testing.assert_array_equal(through_triton.image, here.image)


def test_concurrent_submissions_do_not_mix(
    tmp_path: Path, triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    """Four films of different sizes and samples, all at once, twice each."""
    paths = []
    for index, size_px in enumerate((32, 32, 48, 64)):
        paths.append(tmp_path / f"{index}.tif")
        made = preset_film("uniform-3", seed=index, frames=30, height_px=size_px, width_px=size_px)
        tifffile.imwrite(paths[-1], made.frames_adu, photometric="minisblack")

    def through_triton(path: Path) -> NDArray[np.float32]:
        with open_stack(path) as film, TritonTransport(triton.address) as transport:
            return reconstruct(film, transport, Settings(chunk_frames=4, in_flight=4)).image

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(through_triton, paths * 2))
    for path, image in zip(paths * 2, images, strict=True):
        with open_stack(path) as film:
            expected = reconstruct(film, local_transport, Settings()).image
        np.testing.assert_array_equal(image, expected)


def test_metrics_show_that_the_frames_went_through_unet(
    film_file: Path, triton: EmbeddedServer
) -> None:
    before = _frames_through(triton, "unet")
    with open_stack(film_file) as film, TritonTransport(triton.address) as transport:
        reconstruct(film, transport, Settings())
        assert _frames_through(triton, "unet") - before == film.frame_count


def test_a_bad_chunk_gets_its_own_error_and_its_neighbours_their_sums(
    film_adu: NDArray[np.uint16], triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    good = _request(film_adu[:4], scale_adu=100.0)
    expected = local_transport.sum_chunk(good).image
    bad = _request(film_adu[:4], scale_adu=-1.0)
    start = threading.Barrier(12)

    def send(request: Request) -> PartialSum | InferenceError:
        with TritonTransport(triton.address) as transport:
            start.wait()
            try:
                return transport.sum_chunk(request)
            except InferenceError as error:
                return error

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(send, [good, bad, good] * 4))
    for index, answer in enumerate(answers):
        if index % 3 == 1:
            assert isinstance(answer, InferenceError)
            assert "positive scale" in str(answer)
        else:
            assert isinstance(answer, PartialSum)
            assert answer.frame_count == 4
            np.testing.assert_array_equal(answer.image, expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 50, 56), "multiples of 4"), ((65, 16, 16), "batch-size must be <= 64")],
)
def test_a_chunk_that_breaks_the_contract_is_told_why(
    shape: tuple[int, int, int], message: str, triton: EmbeddedServer
) -> None:
    request = _request(np.zeros(shape, np.uint16), scale_adu=1.0)
    with (
        TritonTransport(triton.address) as transport,
        pytest.raises(InferenceError, match=message) as caught,
    ):
        transport.sum_chunk(request)
    assert "Traceback" not in str(caught.value)


def test_a_window_outside_of_the_tile_is_told_why(triton: EmbeddedServer) -> None:
    request = _request(np.zeros((2, 16, 16), np.uint16), scale_adu=1.0)
    outside = Request("chunk", request.frames_adu, request.levels_adu, request.window + 4)
    with (
        TritonTransport(triton.address) as transport,
        pytest.raises(InferenceError, match="does not lie in a tile of 16 x 16"),
    ):
        transport.sum_chunk(outside)


def test_thunderstorm_film_is_counted_right_through_triton(
    triton: EmbeddedServer, thunderstorm: object
) -> None:
    stack, truth = thunderstorm.stack, len(thunderstorm.y_px)  # type: ignore[attr-defined]
    with open_stack(stack) as film, TritonTransport(triton.address) as transport:
        found = float(reconstruct(film, transport, Settings()).image.sum(dtype=np.float64))
    assert abs(found / truth - 1) < 0.10


def _request(frames_adu: NDArray[np.uint16], *, scale_adu: float) -> Request:
    count, height, width = frames_adu.shape
    levels = np.tile(np.array([100.0, scale_adu], np.float32), (count, 1))
    return Request("chunk", frames_adu, levels, np.array([8, 0, 0, height, width], np.int32))


def _frames_through(server: EmbeddedServer, model: str) -> int:
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    prefix = f'nv_inference_count{{model="{model}"'
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(prefix))


def test_levels_are_the_clients(film_adu: NDArray[np.uint16], triton: EmbeddedServer) -> None:
    """The server takes the levels it is given, so tiles and chunks of a film agree."""
    levels = kernels.film_levels(film_adu)
    one = _request(film_adu[:1], scale_adu=float(levels[1]))
    other = _request(film_adu[:1], scale_adu=3 * float(levels[1]))
    with TritonTransport(triton.address) as transport:
        assert (transport.sum_chunk(one).image != transport.sum_chunk(other).image).any()
