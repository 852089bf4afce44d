"""The image through the real Triton server is the image of the in-process engine."""

from __future__ import annotations

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import sums
from fakes.real_servers import counted, short_lived
from smlm_pipeline import contract
from smlm_pipeline.cli.app import app
from smlm_pipeline.compute.window import Window
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import InferenceError, TransientServerError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.simulation.presets import preset_film

pytestmark = pytest.mark.triton

MAP = contract.RECONSTRUCTION_MAP.name
COUNTS = ("count", "exec_count")


@pytest.mark.parametrize("chunk_frames", [1, 7, 32, 1024])
def test_bit_for_bit_the_local_image(
    film_file: Path, triton: EmbeddedServer, local_transport: LocalTransport, chunk_frames: int
) -> None:
    cut = Settings(chunk_frames=chunk_frames, in_flight=3)
    with open_film(film_file) as film, TritonTransport(triton.servers) as transport:
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
    cut = Settings(refine="off", tile_px=128, zoom=5)
    with open_film(path) as film, TritonTransport(triton.servers) as transport:
        through_triton, here = (
            reconstruct(film, each, cut) for each in (transport, local_transport)
        )
    assert through_triton.chunk_count == 3
    assert through_triton.image.shape == (450, 1070)
    np.testing.assert_array_equal(through_triton.image, here.image)


def test_map_bit_for_bit_the_local_one(
    film_file: Path, triton: EmbeddedServer, map_transport: LocalTransport
) -> None:
    cut = Settings(model=MAP, chunk_frames=7, in_flight=3)
    with open_film(film_file) as film, TritonTransport(triton.servers, model=MAP) as transport:
        through_triton = reconstruct(film, transport, cut)
        here = reconstruct(film, map_transport, Settings(model=MAP))
    assert through_triton.image.any()
    np.testing.assert_array_equal(through_triton.image, here.image)


def test_the_command_makes_the_same_map_with_either_engine(
    film_file: Path, tmp_path: Path, triton: EmbeddedServer
) -> None:
    images: list[Path] = []
    for engine in (["--server", triton.address], ["--engine", "local"]):
        images.append(tmp_path / f"{len(images)}.tif")
        asked = ["submit", str(film_file), "-o", str(images[-1]), "--model", MAP, "--json", *engine]
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["model"] == MAP
    through_triton, here = (tifffile.imread(image) for image in images)
    np.testing.assert_array_equal(through_triton, here)


def test_tiles_of_a_map_through_triton(
    tmp_path: Path, triton: EmbeddedServer, map_transport: LocalTransport
) -> None:
    path = tmp_path / "wide.tif"
    frames_adu = preset_film("uniform-3", seed=4, frames=4, height_px=90, width_px=214).frames_adu
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    cut = Settings(model=MAP, tile_px=128)
    with open_film(path) as film, TritonTransport(triton.servers, model=MAP) as transport:
        through_triton, here = (reconstruct(film, each, cut) for each in (transport, map_transport))
    assert through_triton.chunk_count == 3
    np.testing.assert_array_equal(through_triton.image, here.image)


def test_a_map_of_another_zoom_is_told_what_to_do(triton: EmbeddedServer) -> None:
    """For those who ask the server by other means than the client, which refuses before."""
    request = _request(np.zeros((2, 16, 16), np.uint16), scale_adu=1.0)
    window = Window(5, 0, 0, 16, 16)
    with (
        TritonTransport(triton.servers, model=MAP) as transport,
        pytest.raises(InferenceError, match=r"zoom 5; expected 8, .* or ask 'reconstruction'"),
    ):
        transport.sum_chunk(dataclasses.replace(request, window=window))


def test_concurrent_submissions_do_not_mix(
    tmp_path: Path, triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    """Four films of different sizes and samples, all at once, twice each; no queue is full."""
    paths = []
    for index, size_px in enumerate((32, 32, 48, 64)):
        paths.append(tmp_path / f"{index}.tif")
        made = preset_film("uniform-3", seed=index, frames=30, height_px=size_px, width_px=size_px)
        tifffile.imwrite(paths[-1], made.frames_adu, photometric="minisblack")

    def through_triton(path: Path) -> NDArray[np.float32]:
        with open_film(path) as film, TritonTransport(triton.servers) as transport:
            return reconstruct(film, transport, Settings(chunk_frames=4, in_flight=3)).image

    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(through_triton, paths * 2))
    for path, image in zip(paths * 2, images, strict=True):
        with open_film(path) as film:
            expected = reconstruct(film, local_transport, Settings()).image
        np.testing.assert_array_equal(image, expected)


def test_metrics_show_that_the_frames_went_through_unet(
    film_file: Path, triton: EmbeddedServer
) -> None:
    before = counted(triton.metrics_url, "nv_inference_count", "unet")
    with open_film(film_file) as film, TritonTransport(triton.servers) as transport:
        found = reconstruct(film, transport, Settings(chunk_frames=7, brightness="off"))
        chunks = len(found.plan.chunks)
        expected = before + chunks
        after = counted(triton.metrics_url, "nv_inference_count", "unet", expected=expected)
        assert after - before == chunks > 1


@pytest.mark.parametrize(
    ("model", "network"),
    [(each.name, each.network.name) for each in contract.ENSEMBLES.values()],
)
def test_each_request_is_an_execution_of_the_network(
    triton: EmbeddedServer, film_adu: NDArray[np.uint16], model: str, network: str
) -> None:
    """None waits for others to be joined with, and all that come at once are answered."""
    request, count = _request(film_adu[:32], scale_adu=100.0), 8
    start = threading.Barrier(count)

    def send(_index: int) -> int:
        start.wait()
        return transport.sum_chunk(request).frame_count

    def counts(expected: tuple[int, ...] = (0, 0)) -> tuple[int, ...]:
        url = triton.metrics_url
        return tuple(
            counted(url, f"nv_inference_{kind}", network, expected=each)
            for kind, each in zip(COUNTS, expected, strict=True)
        )

    with (
        TritonTransport(triton.servers, model=model) as transport,
        ThreadPoolExecutor(count) as pool,
    ):
        before = counts()
        assert list(pool.map(send, range(count))) == [32] * count
        after = tuple(each + count for each in before)
        assert counts(expected=after) == after


def test_a_queue_that_is_full_refuses_before_any_work_is_done(
    tmp_path: Path,
) -> None:
    """The bound is on the first step; what it refuses may be sent again."""
    models = copy_of_ensemble(contract.RECONSTRUCTION.name, tmp_path)
    configuration = models / "unet" / "configs" / "cpu.pbtxt"
    text = configuration.read_text()
    assert text.count("max_queue_size: 24") == 1
    configuration.write_text(text.replace("max_queue_size: 24", "max_queue_size: 1"))
    frames_adu = np.full((64, 128, 128), 100, np.uint16)
    request, count = _request(frames_adu, scale_adu=1.0), 12
    start = threading.Barrier(count)

    def send(_index: int) -> bool:
        start.wait()
        try:
            return transport.sum_chunk(request).frame_count == 64
        except TransientServerError as error:
            assert "Exceeds maximum queue size" in str(error)  # noqa: PT017 - some are answered
            return False

    with (
        short_lived(EmbeddedServer(models)) as server,
        TritonTransport(server.servers) as transport,
        ThreadPoolExecutor(count) as pool,
    ):
        answered = sum(pool.map(send, range(count)))
        assert 1 <= answered < count
        url = server.metrics_url
        assert counted(url, "nv_inference_count", "unet", expected=answered) == answered


def test_a_bad_chunk_gets_its_own_error_and_its_neighbours_their_sums(
    film_adu: NDArray[np.uint16], triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    good = _request(film_adu[:4], scale_adu=100.0)
    expected = sums.image(local_transport.sum_chunk(good).sums, good.window)
    bad = _request(film_adu[:4], scale_adu=-1.0)
    start = threading.Barrier(12)

    def send(request: Request) -> ChunkAnswer | InferenceError:
        with TritonTransport(triton.servers) as transport:
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
            assert isinstance(answer, ChunkAnswer)
            assert answer.frame_count == 4
            np.testing.assert_array_equal(sums.image(answer.sums, good.window), expected)


def test_thunderstorm_film_is_counted_right_through_triton(
    triton: EmbeddedServer, thunderstorm: object
) -> None:
    stack, truth = thunderstorm.stack, len(thunderstorm.y_px)  # type: ignore[attr-defined]
    with open_film(stack) as film, TritonTransport(triton.servers) as transport:
        found = float(reconstruct(film, transport, Settings()).image.sum(dtype=np.float64))
    assert abs(found / truth - 1) < 0.10


def _request(frames_adu: NDArray[np.uint16], *, scale_adu: float) -> Request:
    count, height, width = frames_adu.shape
    levels = np.tile(np.array([100.0, scale_adu], np.float32), (count, 1))
    return Request("chunk", frames_adu, levels, Window(8, 0, 0, height, width))


def test_levels_are_the_clients(film_adu: NDArray[np.uint16], triton: EmbeddedServer) -> None:
    """The server takes the levels it is given, so tiles and chunks of a film agree."""
    levels = prepared(film_adu)[1][0]
    one = _request(film_adu[:1], scale_adu=float(levels[1]))
    other = _request(film_adu[:1], scale_adu=3 * float(levels[1]))
    with TritonTransport(triton.servers) as transport:
        images = [
            sums.image(transport.sum_chunk(request).sums, request.window)
            for request in (one, other)
        ]
    assert (images[0] != images[1]).any()
