"""A client that is killed, again and again, and then continues."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke, names
from fakes.faulty_proxy import FaultyProxy, unheard
from fakes.processes import CLIENT, PATIENCE_S, started, wait_for
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton

CHUNKS = 32
HEARD = 8
IN_FLIGHT = 3
OPTIONS = [
    *PLAIN,
    "--chunk-frames",
    "2",
    "--in-flight",
    str(IN_FLIGHT),
]


@contextlib.contextmanager
def _held_in_the_middle(
    asked: list[str], triton: EmbeddedServer
) -> Iterator[subprocess.Popen[str]]:
    """A client that has heard the first answers, and waits for more in vain."""
    held = dict.fromkeys(range(HEARD + 1, 2 * CHUNKS), unheard)
    with FaultyProxy(triton.address, held) as proxy:
        command = [*CLIENT, *asked, "--server", proxy.address]
        with started(command, stderr=subprocess.PIPE) as client:
            try:
                wait_for(lambda: proxy.inferences == HEARD + IN_FLIGHT, "the client to send")
                yield client
            finally:
                client.kill()


def _kill_in_the_middle(asked: list[str], checkpoint: Path, triton: EmbeddedServer) -> None:
    """``kill -9``, once the client has kept what it heard in this run, or a part of it."""
    before = checkpoint.stat().st_ino if checkpoint.exists() else None
    with _held_in_the_middle(asked, triton) as client:
        wait_for(
            lambda: checkpoint.exists() and checkpoint.stat().st_ino != before,
            "the client to keep its sum",
        )
        assert client.poll() is None


def test_two_kills_and_the_rest(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    image, checkpoint = tmp_path / "image.tif", tmp_path / "image.checkpoint"
    asked = ["submit", str(film_of_64), "-o", str(image), *OPTIONS, "--quiet"]
    asked += ["--checkpoint-every-s", "0", "--pixel-size-nm", "100"]
    _kill_in_the_middle(asked, checkpoint, triton)
    assert names(tmp_path) == ["image.checkpoint"]

    refused = invoke(*asked, "--server", triton.address)
    assert refused.exit_code == 7
    assert (
        "is the checkpoint of an interrupted run; expected --resume to continue" in refused.stderr
    )

    _kill_in_the_middle([*asked, "--resume"], checkpoint, triton)
    (tmp_path / ".image.checkpoint.0123abcd.part").touch()  # had it been killed while it wrote
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert (done.exit_code, done.stderr) == (0, "")
    assert 0 < proxy.inferences <= CHUNKS - 2  # each killed run had kept at least one answer
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]


def test_a_kill_and_the_rest_of_the_table(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer
) -> None:
    """Each molecule is in the table once."""
    whole = ["submit", str(film_of_64), "-o", str(tmp_path / "whole.tif"), *OPTIONS, "--quiet"]
    whole += ["--pixel-size-nm", "100", "--server", triton.address]
    done = invoke(*whole, "--molecules", tmp_path / "whole.csv")
    assert (done.exit_code, done.stderr) == (0, "")
    (tmp_path / "run").mkdir()
    image, table = tmp_path / "run" / "image.tif", tmp_path / "run" / "table.csv"
    checkpoint = tmp_path / "run" / "image.checkpoint"
    asked = ["submit", str(film_of_64), "-o", str(image), *OPTIONS, "--molecules", str(table)]
    asked += ["--quiet", "--checkpoint-every-s", "0", "--pixel-size-nm", "100"]
    _kill_in_the_middle(asked, checkpoint, triton)
    assert names(tmp_path / "run") == ["image.checkpoint", "image.checkpoint.molecules"]
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert (done.exit_code, done.stderr) == (0, "")
    assert 0 < proxy.inferences < CHUNKS
    assert table.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert table.read_text().count("\n") > 1000
    assert names(tmp_path / "run") == ["image.png", "image.tif", "table.csv"]


def test_a_kill_and_a_refined_image(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    """Classes and halves are kept as the sum is."""
    images = [tmp_path / name for name in ("whole.tif", "image.tif")]
    asked, other = (
        ["submit", str(film_of_64), "-o", str(image), *OPTIONS, "--refine", "3", "--quiet"]
        for image in reversed(images)
    )
    usual = ["--pixel-size-nm", "100", "--checkpoint-every-s", "0"]
    assert invoke(*other, *usual, "--server", triton.address).exit_code == 0
    _kill_in_the_middle([*asked, *usual], tmp_path / "image.checkpoint", triton)
    done = invoke(*asked, *usual, "--server", triton.address, "--resume")
    assert done.exit_code == 0, done.stderr
    whole, resumed = (tifffile.imread(image) for image in images)
    np.testing.assert_array_equal(resumed, whole)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "image.sum.ome.tif"), undisturbed)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_and_the_rest(
    number: signal.Signals,
    exit_code: int,
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    """All that was heard is kept, without a writing before."""
    image, checkpoint = tmp_path / "image.tif", tmp_path / "image.checkpoint"
    asked = ["submit", str(film_of_64), "-o", str(image), *OPTIONS]
    with _held_in_the_middle(asked, triton) as client:
        client.send_signal(number)
        _, told = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == exit_code
    assert f"{HEARD} of {CHUNKS} requests are kept in {checkpoint}; run the same command" in told
    assert "Traceback" not in told
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert proxy.inferences == CHUNKS - HEARD
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]
