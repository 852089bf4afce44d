"""Servers that are killed, drained or lose a model mid-run."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke, names
from fakes.faulty_proxy import FaultyProxy, after
from fakes.processes import wait_for
from fakes.real_servers import answered, drain, kill, kill_stub
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton

CHUNKS, IN_FLIGHT = 32, 4
MODELS = ("unet", "summation")
OPTIONS = [
    *PLAIN,
    "--chunk-frames",
    "2",
    "--in-flight",
    str(IN_FLIGHT),
]

FAULTS: dict[str, Callable[[EmbeddedServer], None]] = {
    "kill": kill,
    "drain": drain,
    **{f"kill the stub of {name}": partial(kill_stub, name) for name in MODELS},
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_of_two_servers(
    name: str,
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
        FAULTS[name](mortal)

    with FaultyProxy(triton.address, {3: after(strike)}) as proxy:
        servers = f"{proxy.address},{mortal.address}"
        done = invoke("submit", film_of_64, "-o", image, "--server", servers, *OPTIONS, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["engine"] == f"Triton at {proxy.address} and {mortal.address}"
    assert (told["frames"], told["missing"]) == (64, [])
    assert told["failures"] or name == "kill"  # a lost connection may have been idle
    assert CHUNKS > proxy.chunks > CHUNKS / 2
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]


@pytest.mark.parametrize("name", ["kill", "drain"])
def test_the_only_server(
    name: str,
    film_of_64: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    mortal: EmbeddedServer,
    undisturbed: NDArray[np.float32],
) -> None:
    """Nobody watches it: the run ends, says why, keeps what it has, and continues elsewhere."""
    image = tmp_path / "image.tif"
    asked: list[str | Path] = ["submit", film_of_64, "-o", image, *OPTIONS]
    with FaultyProxy(mortal.address, {10: after(lambda: FAULTS[name](mortal))}) as proxy:
        failed = invoke(*asked, "--server", proxy.address, "--attempts", "3")
    assert failed.exit_code == 4
    *_, kept, complaint = failed.stderr.splitlines()
    assert f"of {CHUNKS} requests are kept in {image.with_suffix('.checkpoint')}" in kept
    assert complaint.startswith("recon-client: frames ")
    assert f"the server at {proxy.address}" in complaint
    assert "did not answer" in complaint
    assert names(tmp_path) == ["image.checkpoint"]

    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert "continuing from image.checkpoint" in done.stderr
    assert proxy.inferences <= CHUNKS - 5  # the first ones were merged before the tenth was sent
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]
