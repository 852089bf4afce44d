"""A client that is killed, again and again, and then goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke, names
from fakes.faulty_proxy import FaultyProxy, unheard
from fakes.processes import CLIENT, wait_for
from smlm_pipeline.server import EmbeddedServer

pytestmark = pytest.mark.triton

CHUNKS = 32
HEARD = 8
OPTIONS = ["--chunk-frames", "2", "--in-flight", "3", "--ledger-every-s", "0", "--quiet"]


def _kill_in_the_middle(asked: list[str], ledger: Path, triton: EmbeddedServer) -> None:
    """Let the first answers through and no more; kill the client when it has kept some of them."""
    before = ledger.stat().st_ino if ledger.exists() else None
    held = dict.fromkeys(range(HEARD + 1, 2 * CHUNKS), unheard)
    with FaultyProxy(triton.address, held) as proxy:
        client = subprocess.Popen([*CLIENT, *asked, "--server", proxy.address])
        try:
            wait_for(lambda: proxy.inferences > HEARD, "the client to send requests")
            wait_for(
                lambda: ledger.exists() and ledger.stat().st_ino != before,
                "the client to keep its sum",
            )
            assert client.poll() is None
        finally:
            client.kill()
            client.wait()


def test_two_kills_and_the_rest(
    film_of_64: Path, tmp_path: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    image, ledger = tmp_path / "image.tif", tmp_path / "image.ledger"
    asked = ["submit", str(film_of_64), "-o", str(image), *OPTIONS]
    _kill_in_the_middle(asked, ledger, triton)
    assert names(tmp_path) == ["image.ledger"]

    refused = invoke(*asked, "--server", triton.address)
    assert refused.exit_code == 7
    assert "keeps the sum of an interrupted run; expected --resume" in refused.stderr

    _kill_in_the_middle([*asked, "--resume"], ledger, triton)
    (tmp_path / ".image.ledger.0123abcd.part").touch()  # had it been killed while it wrote
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert (done.exit_code, done.stderr) == (0, "")
    assert 0 < proxy.inferences <= CHUNKS - 2  # each killed run had kept at least one answer
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]
