"""What is out of bounds is refused by the real server, which lives on.

Directly at the models that answer clients, and through the ensembles: a client need not be ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from fakes.network_inputs import REQUEST
from smlm_pipeline import contract
from smlm_pipeline.engines import canary
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.triton.transport import TritonTransport

pytestmark = pytest.mark.triton

MODELS = {model.name: model for model in contract.MODELS}
ENSEMBLES = tuple(contract.ENSEMBLES)
NETWORKS = tuple(contract.NETWORKS)
MAKES_MAPS = {
    model.name for model in (*contract.RECONSTRUCTION_MAP.steps, contract.RECONSTRUCTION_MAP.spec)
}
LARGEST = 2**31 - 1


@pytest.fixture(scope="module")
def client(triton: EmbeddedServer) -> Iterator[InferenceServerClient]:
    """After all refusals the server still works, in each of its ensembles."""
    with InferenceServerClient(triton.address) as client:
        yield client
        assert client.is_server_ready()
        assert all(client.is_model_ready(name) for name in MODELS)
    for model in contract.ENSEMBLES:
        with TritonTransport(triton.servers, model=model) as transport:
            assert canary.ask(transport).emitters > 0.25


def _refusal(client: InferenceServerClient, model: str, tensors: dict[str, NDArray[Any]]) -> str:
    """The message of the server's refusal, which is the client's fault and in one line."""
    inputs = []
    for spec in MODELS[model].inputs:
        values = tensors[spec.name]
        inputs.append(InferInput(spec.name, list(values.shape), spec.dtype))
        inputs[-1].set_data_from_numpy(values)
    with pytest.raises(InferenceServerException) as refused:
        client.infer(model, inputs)
    message = str(refused.value.message())
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT", message
    assert "Traceback" not in message
    assert "\n" not in message
    return message


def _tensors(count: int, height_px: int, width_px: int, *window: int) -> dict[str, NDArray[Any]]:
    """Inputs of every model, for a tile of this size; of a summation, answers in which is none."""
    detections = np.zeros((count, 7, height_px, width_px), np.float32)
    detections[:, 3:] = 0.1
    return {
        "FRAMES": np.full((count, height_px, width_px, 2), 1, np.uint8),
        "LEVELS": np.ones((count, 2), np.float32),
        "REQUEST": REQUEST,
        "COMPUTED_REQUEST": REQUEST,
        "DETECTIONS": detections,
        "MAP": np.zeros((count, 1, 8 * height_px, 8 * width_px), np.float32),
        "WINDOW": np.array(window or (8, 0, 0, height_px, width_px, 1, 0), np.int32),
        "CLASS_BORDERS": np.array([0.1, 0.2, 0.3], np.float32),
    }


SIZES = [
    ((1, 516, 16), "expected edges of at most 512"),
    ((1, 16, 516), "expected edges of at most 512"),
    ((1, 12, 16), "expected edges of at least 16"),
    ((1, 16, 12), "expected edges of at least 16"),
    ((1, 50, 56), "expected multiples of 4"),
    ((1025, 16, 16), "frames; expected at most"),
    ((1, 0, 16), "expected at least one of each"),
    ((0, 16, 16), "expected at least one of each"),
]


@pytest.mark.parametrize(("size", "words"), SIZES)
@pytest.mark.parametrize("model", MODELS)
def test_a_tile_out_of_range(
    client: InferenceServerClient, model: str, size: tuple[int, int, int], words: str
) -> None:
    assert words in _refusal(client, model, _tensors(*size))


@pytest.mark.parametrize("model", MODELS)
def test_a_frame_too_many(client: InferenceServerClient, model: str) -> None:
    answer = contract.MAP_ANSWER if model in MAKES_MAPS else contract.DETECTION_ANSWER
    most = answer.frames_most(128, 128)
    words = f"and {most + 1} frames; expected at most {most} frames of this size"
    assert words in _refusal(client, model, _tensors(most + 1, 128, 128))


WINDOWS = [
    ((0, 0, 0, 16, 16, 1, 0), "asks for 0 as zoom; expected 1 to 64"),
    ((65, 0, 0, 16, 16, 1, 0), "asks for 65 as zoom; expected 1 to 64"),
    ((LARGEST, 0, 0, 16, 16, 1, 0), f"asks for {LARGEST} as zoom"),
    ((8, 0, 0, 17, 16, 1, 0), "does not lie in a tile of 16 x 16"),
    ((8, 4, 0, 16, 16, 1, 0), "does not lie in a tile of 16 x 16"),
    ((8, -1, 0, 16, 16, 1, 0), "does not lie in a tile of 16 x 16"),
    ((8, LARGEST, LARGEST, LARGEST, LARGEST, 1, 0), "does not lie in a tile of 16 x 16"),
    ((8, 0, 0, 16, 16, 0, 0), "asks for 0 as precision classes; expected 1 to 4"),
    ((8, 0, 0, 16, 16, 5, 0), "asks for 5 as precision classes; expected 1 to 4"),
    ((8, 0, 0, 16, 16, 1, 2), "asks for molecules by 2; expected 0 or 1"),
]


@pytest.mark.parametrize(("window", "words"), WINDOWS)
@pytest.mark.parametrize(
    "model", [name for name, spec in MODELS.items() if contract.WINDOW in spec.inputs]
)
def test_a_window_out_of_range(
    client: InferenceServerClient, model: str, window: tuple[int, ...], words: str
) -> None:
    assert words in _refusal(client, model, _tensors(1, 16, 16, *window))


@pytest.mark.parametrize("model", ["summation", "reconstruction"])
def test_an_image_of_too_many_pixels(client: InferenceServerClient, model: str) -> None:
    tensors = _tensors(1, 256, 256, 64, 0, 0, 256, 256, 1, 0)
    assert "SR pixels; expected at most 134217728" in _refusal(client, model, tensors)


@pytest.mark.parametrize("model", ["summation", "reconstruction"])
def test_borders_that_do_not_ascend(client: InferenceServerClient, model: str) -> None:
    tensors = _tensors(1, 16, 16, 8, 0, 0, 16, 16, 3, 0)
    tensors["CLASS_BORDERS"] = np.array([0.2, 0.1, 0], np.float32)
    assert "expected ascending numbers" in _refusal(client, model, tensors)


@pytest.mark.parametrize("model", ["summation_map", "reconstruction_map"])
@pytest.mark.parametrize(("classes", "molecules"), [(2, 0), (1, 1)])
def test_maps_have_neither_classes_nor_molecules(
    client: InferenceServerClient, model: str, classes: int, molecules: int
) -> None:
    tensors = _tensors(1, 16, 16, 8, 0, 0, 16, 16, classes, molecules)
    said = _refusal(client, model, tensors)
    assert "precision classes or molecules; expected neither: ask 'reconstruction'" in said


@pytest.mark.parametrize("model", [*NETWORKS, *ENSEMBLES])
@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (np.ones((1, 2), np.float32), "LEVELS has shape (1, 2); expected (2, 2)"),
        (np.zeros((2, 2), np.float32), "LEVELS must be finite with a positive scale"),
        (np.full((2, 2), np.nan, np.float32), "LEVELS must be finite with a positive scale"),
    ],
)
def test_levels_that_do_not_fit(
    client: InferenceServerClient, model: str, levels: NDArray[np.float32], words: str
) -> None:
    assert words in _refusal(client, model, {**_tensors(2, 16, 16), "LEVELS": levels})


@pytest.mark.parametrize("model", MODELS)
def test_wrong_ranks_and_sizes_are_refused_by_the_server_itself(
    client: InferenceServerClient, model: str
) -> None:
    good = _tensors(1, 16, 16)
    for spec in MODELS[model].inputs:
        for other in (good[spec.name][None], np.repeat(good[spec.name], 2, axis=-1)):
            free = spec.dims[-1] == -1 and other.ndim == len(spec.dims)
            if not free:
                said = _refusal(client, model, {**good, spec.name: other})
                assert spec.name in said


@pytest.mark.parametrize("model", ["unet", "summation", "reconstruction"])
@pytest.mark.parametrize("edge", [2**31, 2**40, 2**62])
def test_dimensions_that_overflow(client: InferenceServerClient, model: str, edge: int) -> None:
    """Edges far too long for the bytes sent, whose product does not wrap onto their number.

    Products that do wrap onto it, as of (2^62, 0, 64, 2) without bytes, end a Python model in
    Triton 2.51 itself: docs/servers.md, "Failures of a server".
    """
    tensors = _tensors(1, 16, 16)
    first = MODELS[model].inputs[0]
    inputs = []
    for spec in MODELS[model].inputs:
        values = tensors[spec.name]
        inputs.append(InferInput(spec.name, list(values.shape), spec.dtype))
        inputs[-1].set_data_from_numpy(values)
    for axis, size in enumerate(first.dims):
        if size == -1:
            shape = inputs[0].shape()
            shape[axis] = edge
            inputs[0].set_shape(shape)
    with pytest.raises(InferenceServerException) as refused:
        client.infer(model, inputs)
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT", str(refused.value)
    assert client.is_server_ready()
