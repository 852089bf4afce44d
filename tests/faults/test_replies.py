"""Answers that come late, twice, not at all or in pieces: the image is the undisturbed one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes import faulty_proxy
from fakes.command_line import PLAIN, invoke
from fakes.faulty_proxy import Call, Fault, FaultyProxy
from fakes.wire import Wire
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton

CHUNKS = 32
OPTIONS = [
    *PLAIN,
    "--chunk-frames",
    "2",
    "--in-flight",
    "4",
    "--timeout-s",
    "2",
    "--json",
]


@pytest.mark.parametrize(
    ("fault", "sent_again"),
    [
        (faulty_proxy.delayed, 0),
        (faulty_proxy.duplicated, 0),
        (faulty_proxy.lost, 1),
        (faulty_proxy.unheard, 1),
        (faulty_proxy.too_late, 1),
        (faulty_proxy.refused(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), 1),
    ],
    ids=["delayed", "duplicated", "lost", "unheard", "too late", "queue full"],
)
def test_a_spoilt_answer_changes_nothing(
    fault: Fault,
    sent_again: int,
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    image = tmp_path / "image.tif"
    with FaultyProxy(triton.address, dict.fromkeys((1, 4, 9, 10), fault)) as proxy:
        done = invoke("submit", film_of_64, "-o", image, "--server", proxy.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert (proxy.chunks, proxy.inferences) == (CHUNKS, CHUNKS + 4 * sent_again)
    told = json.loads(done.stdout)
    assert (told["frames"], told["chunks"]) == (64, CHUNKS)
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)


def test_answers_to_other_requests_are_sent_again_and_told(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    image = tmp_path / "image.tif"
    faults = dict.fromkeys((1, 4, 9, 10), faulty_proxy.swapped)
    with FaultyProxy(triton.address, faults) as proxy:
        done = invoke("submit", film_of_64, "-o", image, "--server", proxy.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert (proxy.chunks, proxy.inferences) == (CHUNKS, CHUNKS + 4)
    told = json.loads(done.stdout)
    assert (told["failures"], told["swapped_answers"]) == (4, 4)
    assert told["notes"][-1].startswith("a server sent the answer to another request 4 times; none")
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)


def test_a_server_that_answers_other_requests_alone_gives_no_image(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer
) -> None:
    image = tmp_path / "image.tif"
    faults = dict.fromkeys(range(2, 100), faulty_proxy.swapped)
    with FaultyProxy(triton.address, faults) as proxy:
        options = ["--server", proxy.address, "--attempts", "2", "--chunk-frames", "2"]
        done = invoke("submit", film_of_64, "-o", image, *options)
    assert done.exit_code == 4
    assert "sent the answer to another request" in done.stderr
    assert "(sent 2 times; see whether the server runs" in done.stderr
    assert not image.exists()


def test_every_third_answer_spoilt_in_some_way(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    chance = random.Random(5)  # noqa: S311 - the same faults each time
    kinds = (faulty_proxy.delayed, faulty_proxy.duplicated, faulty_proxy.lost)
    faults = {number: chance.choice(kinds) for number in range(1, CHUNKS - 4, 3)}
    image = tmp_path / "image.tif"
    with FaultyProxy(triton.address, faults) as proxy:
        done = invoke("submit", film_of_64, "-o", image, "--server", proxy.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert proxy.chunks == CHUNKS
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)


@pytest.mark.parametrize("bytes_left", [1, 400], ids=["before", "within"])
def test_a_wire_that_is_cut_in_an_answer(
    bytes_left: int,
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    image = tmp_path / "image.tif"
    faults: dict[int, Fault] = {}
    with FaultyProxy(triton.address, faults) as proxy, Wire(proxy.address) as wire:
        cut = _cutting(wire.cut_after, bytes_left)
        faults.update({3: cut, 12: cut})
        done = invoke("submit", film_of_64, "-o", image, "--server", wire.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert wire.cuts == 2
    assert proxy.chunks == CHUNKS
    assert proxy.inferences > CHUNKS
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)


def _cutting(cut_after: Callable[[int], None], bytes_left: int) -> Fault:
    def fault(call: Call) -> bytes:
        answer = call.passed_on()
        cut_after(bytes_left)
        return answer

    return fault
