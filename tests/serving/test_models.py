"""The ``model.py`` files outside of the server: right, alone and in a chain, and unimpressed.

The fake of Triton's module refuses misuse, and each request and response is checked against
the model's ``config.pbtxt``; see ``fakes/``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import triton_python_backend as backend
from fakes.films import spots_adu
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import CONFIGURATIONS, ServedModel, Tensors, configuration
from smlm_pipeline import contract
from smlm_pipeline.compute import draw as drawing
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.errors import ChunkError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_file
from smlm_pipeline.run import chunking
from smlm_pipeline.serving import normalization, respond

CHAINS = {"unet": "summation", "unet_fast": "summation", "unet_map": "summation_map"}


@pytest.fixture(scope="module")
def served() -> dict[str, ServedModel]:
    return {
        name: ServedModel(MODEL_REPOSITORY / name, configuration(name)) for name in CONFIGURATIONS
    }


def _request(shape: tuple[int, int, int] = (3, 20, 24), *, seed: int = 0, zoom: int = 8) -> Request:
    frames_adu = spots_adu(*shape, seed=seed)
    levels_adu = prepared(frames_adu)[1]
    window = np.array([zoom, 4, 0, shape[1] - 5, shape[2]], np.int32)
    return Request(f"seed {seed}", frames_adu, levels_adu, window)


def _normalize_inputs(request: Request) -> Tensors:
    return {
        "FRAMES": request.frames_adu,
        "LEVELS": request.levels_adu,
    }


def _normalized(request: Request) -> NDArray[np.float32]:
    return normalize(request.frames_adu, request.levels_adu)


def _detections(*, seed: int = 0, frames: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-1, 1, (frames, 5, 12, 16)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    return detections


def _maps(*, seed: int = 0, frames: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.1, 1, (frames, 1, 96, 128)).astype(np.float32)


def _window(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def _tensors(response: Tensors | str) -> Tensors:
    assert not isinstance(response, str), response
    return response


def _error(response: Tensors | str) -> str:
    """The message of an error that a client may read: one line, no traceback, no path."""
    assert isinstance(response, str), sorted(response)
    assert "Traceback" not in response
    assert "\n" not in response
    assert "/" not in response
    assert ".py" not in response
    return response


# --- each alone -----------------------------------------------------------------------------


def test_normalize(served: dict[str, ServedModel]) -> None:
    requests = [_request(seed=1), _request((1, 16, 16), seed=2), _request((5, 32, 20), seed=3)]
    responses = served["normalize"].execute(*map(_normalize_inputs, requests))
    for request, response in zip(requests, responses, strict=True):
        expected = _normalized(request)
        np.testing.assert_array_equal(_tensors(response)["NORMALIZED"], expected)


@pytest.mark.parametrize(
    ("name", "answer"), [("unet", "DETECTIONS"), ("unet_fast", "DETECTIONS"), ("unet_map", "MAP")]
)
def test_network(served: dict[str, ServedModel], name: str, answer: str) -> None:
    alone = open_network(network_file(MODEL_REPOSITORY, name))
    rng = np.random.default_rng(0)
    shapes = [(3, 1, 16, 20), (1, 1, 64, 64)]
    inputs = [rng.normal(0, 1, shape).astype(np.float32) for shape in shapes]
    responses = served[name].execute(*({"NORMALIZED": each} for each in inputs))
    for given, response in zip(inputs, responses, strict=True):
        expected = alone.detect(given)
        np.testing.assert_array_equal(_tensors(response)[answer], expected)


def test_unet_answers_within_the_contract(served: dict[str, ServedModel]) -> None:
    """Probabilities are probabilities, and no offset leaves the margin of a core."""
    request = _request((4, 64, 64))
    (normalized,) = served["normalize"].execute(_normalize_inputs(request))
    (found,) = served["unet"].execute(_tensors(normalized))
    probability, offset_y, offset_x, sigma_y, sigma_x = np.moveaxis(
        _tensors(found)["DETECTIONS"], 1, 0
    )
    assert 0 <= probability.min() <= probability.max() <= 1
    assert max(np.abs(offset_y).max(), np.abs(offset_x).max()) <= contract.MAX_OFFSET_PX
    assert min(sigma_y.min(), sigma_x.min()) > 0


def test_summation(served: dict[str, ServedModel]) -> None:
    batch: list[Tensors] = [
        {"DETECTIONS": _detections(), "WINDOW": _window(8, 0, 0, 12, 16)},
        {"DETECTIONS": _detections(frames=7, seed=1), "WINDOW": _window(3, 2, 4, 5, 6)},
    ]
    responses = served["summation"].execute(*batch)
    for inputs, response in zip(batch, responses, strict=True):
        expected = draw(inputs["DETECTIONS"], inputs["WINDOW"])
        assert expected.any()
        np.testing.assert_array_equal(_tensors(response)["IMAGE"], expected)
        assert _tensors(response)["FRAME_COUNT"].tolist() == [len(inputs["DETECTIONS"])]


def test_summation_map(served: dict[str, ServedModel]) -> None:
    batch: list[Tensors] = [
        {"MAP": _maps(), "WINDOW": _window(8, 0, 0, 12, 16)},
        {"MAP": _maps(frames=7, seed=1), "WINDOW": _window(8, 2, 4, 5, 6)},
    ]
    responses = served["summation_map"].execute(*batch)
    for inputs, response in zip(batch, responses, strict=True):
        expected = sum_map(inputs["MAP"], inputs["WINDOW"])
        assert expected.any()
        np.testing.assert_array_equal(_tensors(response)["IMAGE"], expected)
        assert _tensors(response)["FRAME_COUNT"].tolist() == [len(inputs["MAP"])]


def test_an_empty_batch_has_no_responses(served: dict[str, ServedModel]) -> None:
    assert [model.execute() for model in served.values()] == [[]] * len(CONFIGURATIONS)


# --- in a chain -----------------------------------------------------------------------------


def _through_the_chain(served: dict[str, ServedModel], network: str, request: Request) -> Tensors:
    (normalized,) = served["normalize"].execute(_normalize_inputs(request))
    (found,) = served[network].execute(_tensors(normalized))
    (summed,) = served[CHAINS[network]].execute({**_tensors(found), "WINDOW": request.window})
    return _tensors(summed)


@pytest.mark.parametrize(
    ("network", "shape", "zoom"),
    [
        ("unet", (3, 20, 24), 8),
        ("unet", (1, 16, 16), 1),
        ("unet", (20, 64, 64), 5),
        ("unet", (2, 128, 72), 16),
        ("unet_fast", (3, 20, 24), 8),
        ("unet_fast", (20, 64, 64), 5),
        ("unet_map", (3, 20, 24), 8),
        ("unet_map", (20, 64, 64), 8),
    ],
)
def test_chain_equals_the_local_engine_bit_for_bit(
    served: dict[str, ServedModel], network: str, shape: tuple[int, int, int], zoom: int
) -> None:
    request = _request(shape, zoom=zoom)
    summed = _through_the_chain(served, network, request)
    expected = LocalTransport(network_file(MODEL_REPOSITORY, network)).sum_chunk(request)
    assert expected.image.any()
    np.testing.assert_array_equal(summed["IMAGE"], expected.image)
    assert summed["FRAME_COUNT"].tolist() == [expected.frame_count]


@pytest.mark.parametrize("network", CHAINS)
def test_a_planned_tile_goes_through_the_chain(
    served: dict[str, ServedModel], network: str
) -> None:
    chunk = chunking.plan(2, 68, 64, chunk_frames=2, tile_px=64)[1]
    window = np.array(chunk.tile.window(8), np.int32)
    request = dataclasses.replace(_request((2, 64, 64)), window=window)
    summed = _through_the_chain(served, network, request)
    expected = LocalTransport(network_file(MODEL_REPOSITORY, network)).sum_chunk(request).image
    assert expected.any()
    np.testing.assert_array_equal(summed["IMAGE"], expected)
    assert expected.shape == image_shape(8, chunk.tile.y.core_size, chunk.tile.x.core_size)


# --- bad requests among good ones -----------------------------------------------------------


def _bad_frames() -> Tensors:
    return _normalize_inputs(_request((2, 18, 20)))


def _bad_levels() -> Tensors:
    good = _normalize_inputs(_request())
    return {**good, "LEVELS": np.zeros_like(good["LEVELS"])}


def _too_many() -> Tensors:
    return _normalize_inputs(_request((65, 16, 16)))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (_bad_frames, "FRAMES is 18 x 20 pixels; expected"),
        (_bad_levels, "LEVELS must be finite"),
        (_too_many, "FRAMES holds 65 frames; expected at most 64"),
    ],
)
def test_normalize_refuses_one_and_answers_its_neighbours(
    served: dict[str, ServedModel], bad: Callable[[], Tensors], words: str
) -> None:
    good = _request(seed=5)
    first, second, third = served["normalize"].execute(
        _normalize_inputs(good), bad(), _normalize_inputs(good)
    )
    assert words in _error(second)
    expected = _normalized(good)
    for response in (first, third):
        np.testing.assert_array_equal(_tensors(response)["NORMALIZED"], expected)


def _outside() -> Tensors:
    return {"DETECTIONS": _detections(), "WINDOW": _window(8, 0, 0, 13, 16)}


def _not_a_number() -> Tensors:
    detections = _detections()
    detections[1, 0, 3, 3] = np.nan
    return {"DETECTIONS": detections, "WINDOW": _window(8, 0, 0, 12, 16)}


def _another_zoom() -> Tensors:
    return {"MAP": _maps(), "WINDOW": _window(5, 0, 0, 12, 16)}


def _no_map() -> Tensors:
    maps = _maps()
    maps[1, 0, 3, 3] = np.nan
    return {"MAP": maps, "WINDOW": _window(8, 0, 0, 12, 16)}


@pytest.mark.parametrize(
    ("name", "bad", "words"),
    [
        ("summation", _outside, "does not lie in a tile of 12 x 16"),
        ("summation", _not_a_number, "is not a number"),
        ("summation_map", _another_zoom, "zoom 5; expected 8"),
        ("summation_map", _no_map, "is not a number"),
    ],
)
def test_summation_refuses_one_and_answers_its_neighbours(
    served: dict[str, ServedModel], name: str, bad: Callable[[], Tensors], words: str
) -> None:
    window = _window(8, 0, 0, 12, 16)
    good: Tensors
    if name == "summation":
        good = {"DETECTIONS": _detections(seed=3), "WINDOW": window}
        expected = draw(good["DETECTIONS"], window)
    else:
        good = {"MAP": _maps(seed=3), "WINDOW": window}
        expected = sum_map(good["MAP"], window)
    first, second, third = served[name].execute(good, bad(), good)
    assert words in _error(second)
    for response in (first, third):
        np.testing.assert_array_equal(_tensors(response)["IMAGE"], expected)


@pytest.mark.parametrize("name", CHAINS)
def test_a_network_refuses_one_and_answers_its_neighbours(
    served: dict[str, ServedModel], name: str
) -> None:
    """ONNX Runtime's own words name nodes and files of the build: they stay in the server."""
    good: Tensors = {"NORMALIZED": np.ones((1, 1, 16, 16), np.float32)}
    odd: Tensors = {"NORMALIZED": np.ones((1, 1, 17, 18), np.float32)}
    first, second, third = served[name].execute(good, odd, good)
    assert "onnx" not in _error(second).lower()
    assert "expected multiples of 4" in _error(second) or "the model failed" in _error(second)
    for response in (first, third):
        (found,) = _tensors(response).values()
        assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["normalize", "summation", "summation_map"])
def test_an_unforeseen_failure_is_told_by_its_kind_alone(
    served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("/home/someone/secret.py is gone")

    used = {
        "normalize": (normalization, "normalize"),
        "summation": (drawing, "draw"),
        "summation_map": (drawing, "sum_map"),
    }
    monkeypatch.setattr(*used[name], fail)
    inputs = {
        "normalize": _normalize_inputs(_request()),
        "summation": {"DETECTIONS": _detections(), "WINDOW": _window(2, 0, 0, 12, 16)},
        "summation_map": {"MAP": _maps(), "WINDOW": _window(8, 0, 0, 12, 16)},
    }
    backend.Logger.errors.clear()
    (response,) = served[name].execute(inputs[name])
    assert _error(response) == "the model failed with OSError; the server's log tells more"
    (logged,) = backend.Logger.errors
    assert logged.startswith(f"{name}: Traceback")
    assert "OSError: /home/someone/secret.py is gone" in logged


def test_what_a_client_did_wrong_is_not_logged(served: dict[str, ServedModel]) -> None:
    backend.Logger.errors.clear()
    inputs = {"DETECTIONS": _detections(), "WINDOW": _window(2, 0, 0, 999, 16)}
    (response,) = served["summation"].execute(inputs)
    assert "window" in _error(response).lower()
    assert backend.Logger.errors == []


def test_our_own_errors_speak_for_themselves() -> None:
    assert respond.message(ChunkError("FRAMES is odd; pad it")) == "FRAMES is odd; pad it"
