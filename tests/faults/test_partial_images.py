"""``--allow-partial``: an image of what there is, which says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke, names
from fakes.faulty_proxy import FaultyProxy, after, refused
from fakes.films import damage
from fakes.image_files import described
from fakes.real_servers import kill
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.settings import Settings

pytestmark = pytest.mark.triton

FIELD = [0, 0, 56, 48]
OPTIONS = [
    *PLAIN,
    "--chunk-frames",
    "2",
    "--in-flight",
    "1",
    "--allow-partial",
    "--json",
]


def _without(film: Path, left_out: set[int], engine: LocalTransport) -> NDArray[np.float32]:
    """The sum of the other chunks."""
    settings = Settings(refine="off", brightness="off", chunk_frames=2, allow_partial=True)
    with open_film(film) as stack:
        seen = survey(stack, settings)
        sums = Accumulator(stack.height_px, stack.width_px, zoom=settings.zoom)
        for chunk in plan_run(stack, settings, memory_limit_bytes(settings)).chunks:
            if chunk.index not in left_out:
                read_adu = stack.read(chunk.first_frame, chunk.last_frame)
                frames_adu, levels_adu = seen.conditioning.apply(read_adu, chunk.first_frame)
                request = request_of(frames_adu, chunk, levels_adu, settings.zoom)
                sums.add(chunk, engine.sum_chunk(request))
    return sums.image().whole()


def _damage(film: Path, path: Path, *frames: int) -> None:
    """The film, compressed, with these frames overwritten by zeros."""
    tifffile.imwrite(path, tifffile.imread(film), photometric="minisblack", compression="zlib")
    damage(path, *frames)


def test_damaged_frames(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    damaged, image = tmp_path / "damaged.tif", tmp_path / "image.tif"
    _damage(film_of_64, damaged, 21, 40, 43)
    done = invoke("submit", damaged, "-o", image, "--server", triton.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    missing = [{"frames": frames, "roi_px": FIELD} for frames in ([20, 22], [40, 44])]
    told = json.loads(done.stdout)
    assert told["missing"] == described(image)["missing"] == missing
    assert "6 of 64 frames are missing from the image" in told["notes"][-1]
    expected = _without(damaged, {10, 20, 21}, local_transport)
    np.testing.assert_array_equal(tifffile.imread(image), expected)


def test_a_refused_request_that_passes_later(
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    local_transport: LocalTransport,
    undisturbed: NDArray[np.float32],
) -> None:
    image = tmp_path / "image.tif"
    asked: list[str | Path] = ["submit", film_of_64, "-o", image, *OPTIONS]
    refusal = refused(grpc.StatusCode.INVALID_ARGUMENT, "no such thing")
    with FaultyProxy(triton.address, {5: refusal, 31: refusal}) as proxy:
        done = invoke(*asked, "--server", proxy.address)
    assert done.exit_code == 0, done.stderr
    assert [each["frames"] for each in described(image)["missing"]] == [[8, 10], [60, 62]]
    assert "no such thing" in json.loads(done.stdout)["notes"][-1]
    expected = _without(film_of_64, {4, 30}, local_transport)
    np.testing.assert_array_equal(tifffile.imread(image), expected)
    assert names(tmp_path) == ["image.checkpoint", "image.png", "image.tif"]

    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert proxy.inferences == 2
    assert described(image)["missing"] == []
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]


def test_a_server_that_dies_for_good(
    film_of_64: Path, tmp_path: Path, mortal: EmbeddedServer, local_transport: LocalTransport
) -> None:
    image = tmp_path / "image.tif"
    with FaultyProxy(mortal.address, {25: after(lambda: kill(mortal))}) as proxy:
        asked: list[str | Path] = [
            "submit",
            film_of_64,
            "-o",
            image,
            "--server",
            proxy.address,
            "--attempts",
            "2",
        ]
        done = invoke(*asked, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert described(image)["missing"] == [{"frames": [48, 64], "roi_px": FIELD}]
    expected = _without(film_of_64, set(range(24, 32)), local_transport)
    np.testing.assert_array_equal(tifffile.imread(image), expected)
