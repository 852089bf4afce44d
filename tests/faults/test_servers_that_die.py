"""Servers that are killed, drained or lose a model mid-run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke, names
from fakes.dying_servers import drain, kill, kill_stub, wait_for
from fakes.faulty_proxy import FaultyProxy, after
from fakes.triton_metrics import answered
from smlm_pipeline.server import EmbeddedServer

pytestmark = pytest.mark.triton

CHUNKS, IN_FLIGHT = 32, 4
OPTIONS = ["--chunk-frames", "2", "--in-flight", str(IN_FLIGHT)]

by_any_fault = pytest.mark.parametrize("fault", [kill, drain, kill_stub])


@by_any_fault
def test_one_of_two_servers(
    fault: Callable[[EmbeddedServer], None],
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    mortal: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    """It goes when some of its answers have come back; the other one does what is left."""
    image = tmp_path / "image.tif"

    def strike() -> None:
        wait_for(lambda: answered(mortal) >= IN_FLIGHT, "the server that is to die to work")
        fault(mortal)

    with FaultyProxy(triton.address, {3: after(strike)}) as proxy:
        servers = f"{proxy.address},{mortal.address}"
        done = invoke("submit", film_of_64, "-o", image, "--server", servers, *OPTIONS, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["engine"] == f"Triton at {proxy.address} and {mortal.address}"
    assert (told["frames"], told["missing"]) == (64, [])
    assert told["failures"] or fault is kill  # a lost connection may have been idle
    assert CHUNKS > proxy.chunks > CHUNKS / 2
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]


@by_any_fault
def test_the_only_server(
    fault: Callable[[EmbeddedServer], None],
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    mortal: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    """The run ends, says why, keeps what it has, and goes on with another server."""
    image = tmp_path / "image.tif"
    asked = ["submit", film_of_64, "-o", image, *OPTIONS]
    with FaultyProxy(mortal.address, {10: after(lambda: fault(mortal))}) as proxy:
        failed = invoke(*asked, "--server", proxy.address, "--attempts", "3")
    assert failed.exit_code == 4
    *_, kept, complaint = failed.stderr.splitlines()
    assert f"of {CHUNKS} requests are kept in {image.with_suffix('.ledger')}" in kept
    assert complaint.startswith("recon-client: frames ")
    assert f"the server at {proxy.address}" in complaint
    told = "restart" if fault is kill_stub else "did not answer"
    assert told in complaint
    assert names(tmp_path) == ["image.ledger"]

    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert "going on from image.ledger" in done.stderr
    assert proxy.inferences <= CHUNKS - 5  # the first ones were merged before the tenth was sent
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]
