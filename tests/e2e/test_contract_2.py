"""Contract 2 meets contract 3, on either side: with one clear sentence, and no image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from fakes import contract_2
from fakes.command_line import invoke, one_line
from fakes.real_servers import short_lived
from smlm_pipeline import contract
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def old_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return contract_2.write_repository(tmp_path_factory.mktemp("contract_2"))


@pytest.fixture(scope="module")
def old_server(old_repository: Path) -> Iterator[EmbeddedServer]:
    with short_lived(EmbeddedServer(old_repository)) as server:
        yield server


def test_an_old_server_is_not_asked_for_an_image(
    film_file: Path, tmp_path: Path, old_server: EmbeddedServer
) -> None:
    image = tmp_path / "image.tif"
    arguments = ("submit", film_file, "-o", image, "--quiet", "--pixel-size-nm", "100")
    result = invoke(*arguments, "--server", old_server.address)
    assert result.exit_code == 5
    assert (
        f"server at {old_server.address} serves 'reconstruction' under contract version 2; this "
        f"client speaks {contract.CONTRACT_VERSION}: install the client and the model repository "
        "of one release"
    ) in one_line(result)
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_an_old_server(old_server: EmbeddedServer) -> None:
    result = invoke("status", "--server", old_server.address, "--json")
    assert result.exit_code == 5
    state = json.loads(result.stdout)
    assert state["fits"] is False
    stated = {model["name"]: model["contract_version"] for model in state["models"]}
    assert stated["unet"] == stated["reconstruction"] == "2"
    asked = invoke("status", "--server", old_server.address, "--canary")
    assert asked.exit_code == 5
    assert "emitter" not in asked.output


def test_an_old_and_a_new_server_are_not_mixed(
    film_file: Path, tmp_path: Path, old_server: EmbeddedServer, triton: EmbeddedServer
) -> None:
    image = tmp_path / "image.tif"
    both = f"{triton.address},{old_server.address}"
    arguments = ("submit", film_file, "-o", image, "--quiet", "--pixel-size-nm", "100")
    result = invoke(*arguments, "--server", both)
    assert result.exit_code == 5
    assert f"server at {old_server.address} serves 'reconstruction' under contract version 2" in (
        one_line(result)
    )


@pytest.mark.parametrize("engine", ["local", "triton"])
def test_an_old_repository_is_refused_before_anything_starts(
    film_file: Path, tmp_path: Path, old_repository: Path, engine: str
) -> None:
    arguments = ("submit", film_file, "-o", tmp_path / "image.tif", "--quiet")
    repository = ("--model-repository", old_repository, "--pixel-size-nm", "100")
    result = invoke(*arguments, *repository, "--engine", engine)
    assert result.exit_code == 5
    assert "is of contract version 2; this release takes 3" in one_line(result)


def test_the_request_of_an_old_client_is_refused_and_harms_nobody(triton: EmbeddedServer) -> None:
    """Of one that does not ask first, as the clients of this project do."""
    tensors: dict[str, tuple[str, NDArray[Any]]] = {
        "FRAMES": ("UINT16", np.zeros((2, 16, 16), np.uint16)),
        "LEVELS": ("FP32", np.ones((2, 2), np.float32)),
        "FILM_MEAN": ("FP32", np.zeros((16, 16), np.float32)),
        "WINDOW": ("INT32", np.array([8, 0, 0, 16, 16], np.int32)),
    }
    inputs = []
    for name, (dtype, values) in tensors.items():
        inputs.append(InferInput(name, list(values.shape), dtype))
        inputs[-1].set_data_from_numpy(values)
    client = InferenceServerClient(triton.address)
    with pytest.raises(InferenceServerException) as refused:
        client.infer(contract.RECONSTRUCTION.name, inputs)
    client.close()
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "\n" not in refused.value.message()
    canary = invoke("status", "--server", triton.address, "--canary")
    assert canary.exit_code == 0, canary.output
