"""Every bound of a request, at every model: refused as the client's fault, and without memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import triton_python_backend as backend
from fakes.network_inputs import REQUEST
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import CONFIGURATIONS, Refusal, ServedModel, Tensors, configuration
from smlm_pipeline import contract

NETWORKS = tuple(contract.NETWORKS)
SUMMATIONS = tuple(answer.summation.name for answer in contract.ANSWERS)

SPENT_BYTES_MAX = 1 << 18
"""Most memory for a refusal; each of the refused requests would take at least four times that."""


@pytest.fixture(scope="module")
def served() -> dict[str, ServedModel]:
    return {
        name: ServedModel(MODEL_REPOSITORY / name, configuration(name)) for name in CONFIGURATIONS
    }


def _refusal(model: ServedModel, inputs: Tensors) -> str:
    """The message of the refusal, which took no memory and was no failure of the server."""
    backend.Logger.errors.clear()
    tracemalloc.start()
    try:
        (refused,) = model.execute(inputs)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(refused, Refusal), "it was answered"
    assert refused.code == backend.TritonError.INVALID_ARG
    assert backend.Logger.errors == []
    given_bytes = sum(array.nbytes for array in inputs.values())  # the fake copies them
    assert peak_bytes < given_bytes + SPENT_BYTES_MAX
    return refused


def _frames(count: int, height_px: int, width_px: int) -> Tensors:
    return {
        "FRAMES": np.zeros((count, height_px, width_px, 2), np.uint8),
        "LEVELS": np.ones((count, 2), np.float32),
        "REQUEST": REQUEST,
    }


def _answers(name: str, count: int, height_px: int, width_px: int, *window: int) -> Tensors:
    answer = contract.answer_summed_by(name)
    shape = (count, answer.channels, height_px * answer.zoom, width_px * answer.zoom)
    inputs: dict[str, NDArray[Any]] = {
        answer.name: np.zeros(shape, np.float32),
        "COMPUTED_REQUEST": REQUEST,
        "LEVELS": np.ones((count, 2), np.float32),
        "REQUEST": REQUEST,
        "WINDOW": np.array(window or (8, 0, 0, 4, 4, 1, 0), np.int32),
        "CLASS_BORDERS": np.array([0.1, 0.2, 0.3], np.float32),
    }
    return {spec.name: inputs[spec.name] for spec in answer.summation.inputs}


SIZES = [
    ((1, 516, 64), "expected edges of at most 512: cut smaller tiles"),
    ((1, 64, 516), "expected edges of at most 512: cut smaller tiles"),
    ((1, 4, 2**20), "expected edges of at most 512: cut smaller tiles"),
    ((1, 12, 512), "expected edges of at least 16"),
    ((1, 512, 12), "expected edges of at least 16"),
    ((1, 62, 64), "expected multiples of 4: pad the tile"),
    ((1, 64, 63), "expected multiples of 4: pad the tile"),
    ((0, 64, 64), "expected at least one of each"),
    ((1, 0, 64), "expected at least one of each"),
    ((2**20, 0, 64), "expected at least one of each"),
    ((0, 2**31 - 4, 64), "expected at least one of each"),
    ((0, 64, 2**40), "expected at least one of each"),
]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("size", "words"), SIZES)
def test_a_network_refuses_tiles_out_of_range(
    served: dict[str, ServedModel], name: str, size: tuple[int, int, int], words: str
) -> None:
    assert words in _refusal(served[name], _frames(*size))


@pytest.mark.parametrize("name", SUMMATIONS)
@pytest.mark.parametrize(("size", "words"), SIZES)
def test_a_summation_refuses_tiles_out_of_range(
    served: dict[str, ServedModel], name: str, size: tuple[int, int, int], words: str
) -> None:
    assert words in _refusal(served[name], _answers(name, *size))


LEVELS = [
    ([[100, -200]], "finite with a positive scale"),
    ([[100, 0]], "finite with a positive scale"),
    ([[-np.inf, 200]], "finite with a positive scale"),
    ([[np.nan, 200]], "finite with a positive scale"),
    ([[100, 200], [100, 200]], "LEVELS has shape (2, 2); expected (1, 2)"),
]


@pytest.mark.parametrize("name", SUMMATIONS)
@pytest.mark.parametrize(("levels", "words"), LEVELS)
def test_a_summation_refuses_answers_to_frames_without_sound_levels(
    served: dict[str, ServedModel], name: str, levels: list[list[float]], words: str
) -> None:
    """A network on a GPU is a plan, which would take them."""
    inputs = _answers(name, 1, 16, 16)
    inputs["LEVELS"] = np.array(levels, np.float32)
    assert words in _refusal(served[name], inputs)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("edge_px", [64, 100, 512])
def test_a_network_refuses_too_many_frames(
    served: dict[str, ServedModel], name: str, edge_px: int
) -> None:
    """Of that size: the number of pixels is bounded, and that of frames."""
    most = contract.ensemble_of(name).answer.frames_most(edge_px, edge_px)
    words = f"and {most + 1} frames; expected at most {most} frames of this size"
    assert words in _refusal(served[name], _frames(most + 1, edge_px, edge_px))


@pytest.mark.parametrize("name", SUMMATIONS)
@pytest.mark.parametrize("edge_px", [16, 100])
def test_a_summation_refuses_too_many_frames(
    served: dict[str, ServedModel], name: str, edge_px: int
) -> None:
    most = contract.answer_summed_by(name).frames_most(edge_px, edge_px)
    words = f"and {most + 1} frames; expected at most {most} frames of this size"
    assert words in _refusal(served[name], _answers(name, most + 1, edge_px, edge_px))


LARGEST = 2**31 - 1

WINDOWS = [
    ((0, 0, 0, 4, 4, 1, 0), "asks for 0 as zoom; expected 1 to 64"),
    ((65, 0, 0, 4, 4, 1, 0), "asks for 65 as zoom; expected 1 to 64"),
    ((LARGEST, 0, 0, 4, 4, 1, 0), f"asks for {LARGEST} as zoom"),
    ((-LARGEST - 1, 0, 0, 4, 4, 1, 0), f"asks for {-LARGEST - 1} as zoom"),
    ((8, 0, 0, 0, 4, 1, 0), "does not lie in a tile of 128 x 192"),
    ((8, 0, 0, 4, -4, 1, 0), "does not lie in a tile of 128 x 192"),
    ((8, -1, 0, 4, 4, 1, 0), "does not lie in a tile of 128 x 192"),
    ((8, 125, 0, 4, 4, 1, 0), "does not lie in a tile of 128 x 192"),
    ((8, LARGEST, LARGEST, LARGEST, LARGEST, 1, 0), "does not lie in a tile of 128 x 192"),
    ((8, 0, 0, 4, 4, 0, 0), "asks for 0 as precision classes; expected 1 to 4"),
    ((8, 0, 0, 4, 4, 5, 0), "asks for 5 as precision classes; expected 1 to 4"),
    ((8, 0, 0, 4, 4, LARGEST, 0), f"asks for {LARGEST} as precision classes"),
    ((8, 0, 0, 4, 4, 1, 2), "asks for molecules by 2; expected 0 or 1"),
    ((8, 0, 0, 4, 4, 1, -1), "asks for molecules by -1; expected 0 or 1"),
]


@pytest.mark.parametrize("name", SUMMATIONS)
@pytest.mark.parametrize(("window", "words"), WINDOWS)
def test_a_summation_refuses_windows_out_of_range(
    served: dict[str, ServedModel], name: str, window: tuple[int, ...], words: str
) -> None:
    assert words in _refusal(served[name], _answers(name, 1, 128, 192, *window))


@pytest.mark.parametrize(
    "window", [(64, 0, 0, 128, 192, 2, 0), (64, 0, 0, 128, 192, 4, 1), (64, 0, 0, 127, 191, 2, 0)]
)
def test_an_image_of_too_many_pixels_is_refused(
    served: dict[str, ServedModel], window: tuple[int, ...]
) -> None:
    """Which would take a gibibyte."""
    said = _refusal(served["summation"], _answers("summation", 1, 128, 192, *window))
    assert "SR pixels; expected at most 134217728: choose a smaller zoom or smaller tiles" in said


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ((7, 0, 0, 4, 4, 1, 0), "asks for zoom 7; expected 8, the zoom of the network's map"),
        ((64, 0, 0, 128, 192, 1, 0), "asks for zoom 64; expected 8"),
        ((8, 0, 0, 4, 4, 2, 0), "precision classes or molecules; expected neither"),
        ((8, 0, 0, 4, 4, 1, 1), "precision classes or molecules; expected neither"),
    ],
)
def test_maps_are_summed_as_they_are_or_not_at_all(
    served: dict[str, ServedModel], window: tuple[int, ...], words: str
) -> None:
    said = _refusal(served["summation_map"], _answers("summation_map", 1, 128, 192, *window))
    assert words in said
    assert "ask 'reconstruction'" in said


def test_borders_that_do_not_ascend_are_refused(served: dict[str, ServedModel]) -> None:
    inputs = _answers("summation", 1, 128, 192, 8, 0, 0, 128, 192, 3, 0)
    inputs["CLASS_BORDERS"][:2] = 0.2, 0.1
    said = _refusal(served["summation"], inputs)
    assert "expected ascending numbers" in said
