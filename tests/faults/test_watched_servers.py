"""A server that is watched: whatever happens to it, the film ends with the same bits."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke, names
from fakes.processes import wait_for
from fakes.real_servers import answered, hang, hold_a_request, kill, stall_stub, starved
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.health import CANARY_EVERY_S, HANG_S
from smlm_pipeline.engines.watched import Watch

pytestmark = pytest.mark.triton

FAULTS: dict[str, Callable[[EmbeddedServer], None]] = {
    "kill": kill,
    "stall the stub of unet": partial(stall_stub, "unet"),
    "hang": hang,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_film_on_the_embedded_server(
    name: str,
    film_of_64: Path,
    tmp_path: Path,
    small_repository: Path,
    undisturbed: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is harmed when some of its answers have come back."""
    struck = threading.Event()

    def strike(server: EmbeddedServer) -> None:
        with contextlib.suppress(OSError):
            wait_for(lambda: answered(server) >= 6, "the server to work")
            FAULTS[name](server)
            struck.set()

    class Harmed(EmbeddedServer):
        def start(self, unwanted: threading.Event | None = None) -> None:
            super().start(unwanted)
            if not struck.is_set():
                threading.Thread(target=strike, args=(self,), daemon=True).start()

    monkeypatch.setattr("smlm_pipeline.engines.embedded.EmbeddedServer", Harmed)
    hold_a_request(monkeypatch, struck)
    image = tmp_path / "image.tif"
    options = [
        *PLAIN,
        "--chunk-frames",
        "1",
        "--in-flight",
        "3",
        "--json",
    ]
    done = invoke(
        "submit", film_of_64, "-o", image, "--model-repository", small_repository, *options
    )
    assert done.exit_code == 0, done.stderr
    assert struck.is_set()
    told = json.loads(done.stdout)
    assert (told["frames"], told["missing"]) == (64, [])
    assert told["failures"] > 0
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(tmp_path) == ["image.png", "image.tif"]


def test_a_server_without_a_processor_is_left_alone_until_it_hangs(small_repository: Path) -> None:
    """A server that gets none, as at nice 19 beside others, works as little as one that hangs."""
    lines: list[str] = []
    with Watch(
        server := EmbeddedServer(small_repository), ["reconstruction"], report=lines.append
    ) as watch:
        with starved(server):
            time.sleep(CANARY_EVERY_S + 2 * HANG_S)
        assert not [line for line in lines if "without any work" in line]
        watch.settle(watch.generation)
        generation = watch.generation
        hang(server)
        wait_for(lambda: watch.generation > generation, "the server to be found out")
        assert [line for line in lines if "without any work" in line]
