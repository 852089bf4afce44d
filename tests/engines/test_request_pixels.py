"""The frames of a request are those that its server asks for, within what memory and user allow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke
from fakes.films import spots_adu
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract, settings
from smlm_pipeline.engines.fleet import Fleet
from smlm_pipeline.engines.triton.addresses import Servers

EDGE_PX, FRAMES = 32, 40
FRAME_PIXELS = EDGE_PX * EDGE_PX


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Which fits into one request of the usual size."""
    assert FRAMES * FRAME_PIXELS < settings.REQUEST_PIXELS
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, spots_adu(FRAMES, EDGE_PX, EDGE_PX), photometric="minisblack")
    return path


@contextlib.contextmanager
def _servers(*request_pixels: int | str | None) -> Iterator[tuple[str, list[ComputingTransport]]]:
    """Addresses of servers that ask for so many pixels, and what they are sent."""
    transports = [ComputingTransport() for _ in request_pixels]
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(FakeTriton(transport)) for transport in transports]
        for server, pixels in zip(servers, request_pixels, strict=True):
            server.request_pixels = pixels
        yield ",".join(server.address for server in servers), transports


def _frames_sent(
    film: Path, *request_pixels: int | str | None, options: tuple[str, ...] = ()
) -> list[int]:
    """Numbers of frames of all requests, in ascending order."""
    with _servers(*request_pixels) as (addresses, transports):
        plain = ("--overwrite", "--json", "--refine", "off", *options)
        result = invoke("submit", film, *plain, "--server", addresses)
    assert result.exit_code == 0, result.output
    sent = [request for transport in transports for request in transport.requests.values()]
    assert json.loads(result.stdout)["chunks"] == len(sent)
    return sorted(len(request.frames_adu) for request in sent)


@pytest.mark.parametrize(
    ("request_pixels", "sent"),
    [
        (None, [40]),
        (1 << 22, [40]),
        (16 * FRAME_PIXELS, [8, 16, 16]),
        (17 * FRAME_PIXELS - 1, [8, 16, 16]),
        (1, [1] * 40),
        ("many", [40]),
        ("0", [40]),
    ],
)
def test_a_server_decides(film: Path, request_pixels: int | str | None, sent: list[int]) -> None:
    assert _frames_sent(film, request_pixels) == sent


def test_the_image_is_the_same(film: Path) -> None:
    images = []
    for request_pixels in (None, 7 * FRAME_PIXELS):
        _frames_sent(film, request_pixels)
        images.append(tifffile.imread(film.with_name("film.sr.ome.tif")))
    assert images[0].any()
    np.testing.assert_array_equal(images[0], images[1])


def test_the_user_decides_before_the_server(film: Path) -> None:
    chunk_frames = ("--chunk-frames", "25")
    assert _frames_sent(film, 16 * FRAME_PIXELS, options=chunk_frames) == [15, 25]


def test_of_several_servers_the_smallest_decides(film: Path) -> None:
    asked = (30 * FRAME_PIXELS, 10 * FRAME_PIXELS, None, 20 * FRAME_PIXELS)
    assert _frames_sent(film, *asked) == [10, 10, 10, 10]


def test_a_fleet_states_the_smallest() -> None:
    for request_pixels, smallest in (
        ((5000, 3000), 3000),
        ((None, 3000), 3000),
        ((None, None), None),
    ):
        with _servers(*request_pixels) as (addresses, _):
            running = Fleet.of(Servers.parse(addresses), contract.RECONSTRUCTION.name)
        assert running.request_pixels == smallest


def test_a_server_does_not_decide_beyond_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "long.tif"
    frames_adu = np.tile(spots_adu(10, 16, 16), (103, 1, 1))
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    assert _frames_sent(path, 1 << 40) == [6, 1024]


@pytest.mark.parametrize("little", ["310MiB", "325MiB"])
def test_a_server_does_not_decide_beyond_the_memory(tmp_path: Path, little: str) -> None:
    """For a request of 64 frames it is too little, and then for a sum in memory beside two."""
    path = tmp_path / "wide.tif"
    frames_adu = np.tile(spots_adu(4, 64, 64), (16, 4, 4))
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    options = ("--zoom", "1", "--in-flight", "1", "--memory")
    assert _frames_sent(path, 1 << 22, options=(*options, "2GiB")) == [64]
    assert _frames_sent(path, 1 << 22, options=(*options, little)) == [16] * 4
