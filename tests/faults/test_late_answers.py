"""Triton hands a late answer to the next request: the number of a request alone keeps it out.

The processes of these models do not notice that they were stopped, as those of another Python
would not; the client knows nothing of the watch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke
from fakes.processes import wait_for
from fakes.real_servers import answered, stall_stub
from smlm_pipeline import contract
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.watched import Watch

pytestmark = pytest.mark.triton

_WITHOUT_PULSE = "from smlm_pipeline.serving import pulse\n\npulse._is_stub = lambda: False\n"


@pytest.fixture(scope="module")
def heedless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server whose models answer whatever happened to them; it is started again if it dies."""
    folder = copy_of_ensemble(contract.RECONSTRUCTION.name, tmp_path_factory.mktemp("heedless"))
    for model in ("unet", "summation"):
        file = folder / model / "1" / "model.py"
        file.write_text(_WITHOUT_PULSE + file.read_text())
    server = EmbeddedServer(folder)
    with Watch(server, [contract.RECONSTRUCTION.name]):
        yield server


@pytest.mark.parametrize("model", ["unet", "summation"])
def test_a_film_whose_model_is_stopped(
    model: str,
    heedless: EmbeddedServer,
    film_of_64: Path,
    tmp_path: Path,
    undisturbed: NDArray[np.float32],
) -> None:
    """Without the number, every fourth such image was wrong (docs/security.md)."""
    image, before = tmp_path / "image.tif", answered(heedless)

    def strike() -> None:
        wait_for(lambda: answered(heedless) >= before + 6, "the server to work")
        stall_stub(model, heedless)

    with ThreadPoolExecutor(1) as striking:
        struck = striking.submit(strike)
        cut = [
            *PLAIN,
            "--chunk-frames",
            "1",
            "--in-flight",
            "3",
            "--attempts",
            "30",
            "--json",
        ]
        done = invoke("submit", film_of_64, "-o", image, "--server", heedless.address, *cut)
        struck.result()
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["frames"], told["missing"]) == (64, [])
    assert told["failures"] >= told["swapped_answers"]
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
