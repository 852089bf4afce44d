"""The ``model.py`` files outside of the server: right, alone and in a chain, and unimpressed.

The fake of Triton's module refuses misuse, and each request and response is checked against
the model's ``config.pbtxt``; see ``fakes/``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import network_inputs
from fakes import triton_python_backend as backend
from fakes.films import spots_adu
from fakes.network_inputs import REQUEST
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import CONFIGURATIONS, Array, ServedModel, Tensors, configuration
from fakes.sums import image
from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.sparse import decode
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.engines.triton.errors import error_of
from smlm_pipeline.errors import ChunkError, SwappedAnswerError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.chunk import molecules
from smlm_pipeline.model_repository import network_file
from smlm_pipeline.run import chunking
from smlm_pipeline.serving import network as serving_network
from smlm_pipeline.serving import respond
from smlm_pipeline.serving import summation as serving_summation

CHAINS = {"unet": "summation", "unet_fast": "summation", "unet_map": "summation_map"}
BORDERS_PX = np.array([0.1, 0.3, 0], np.float32)
WHOLE = Window(8, 0, 0, 16, 20)


@pytest.fixture(scope="module")
def served() -> dict[str, ServedModel]:
    return {
        name: ServedModel(MODEL_REPOSITORY / name, configuration(name)) for name in CONFIGURATIONS
    }


def _request(
    shape: tuple[int, int, int] = (3, 20, 24), *, seed: int = 0, zoom: int = 8, **asked: Any
) -> Request:
    frames_adu = spots_adu(*shape, seed=seed)
    levels_adu = prepared(frames_adu)[1]
    window = Window(zoom, 4, 0, shape[1] - 5, shape[2], **asked)
    return Request(f"seed {seed}", frames_adu, levels_adu, window, BORDERS_PX)


def _network_inputs(request: Request) -> Tensors:
    return network_inputs.tensors(request.frames_adu, request.levels_adu)


def _detections(*, seed: int = 0, frames: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-1, 1, (frames, 7, 16, 20)).astype(np.float32)
    detections[:, 0] = np.abs(detections[:, 0])
    detections[:, 3:] = rng.uniform(0.05, 0.4, (frames, 4, 16, 20))
    return detections


def _maps(*, seed: int = 0, frames: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.1, 1, (frames, 1, 128, 160)).astype(np.float32)


def _summation_inputs(answers: Array, window: Window = WHOLE) -> Tensors:
    """Of the summation of such answers."""
    levels_adu = np.ones((len(answers), 2), np.float32)
    inputs = {
        "COMPUTED_REQUEST": REQUEST,
        "LEVELS": levels_adu,
        "REQUEST": REQUEST,
        "WINDOW": window.as_tensor(),
    }
    if answers.shape[1] == contract.MAP_ANSWER.channels:
        return {"MAP": answers, **inputs}
    return {"DETECTIONS": answers, **inputs, "CLASS_BORDERS": BORDERS_PX}


def _image(response: Tensors | str, window: Window = WHOLE) -> NDArray[np.int64]:
    """The image of a response, zeros included."""
    tensors = _tensors(response)
    return image(decode(tensors["STEP"], tensors["WEIGHT"]), window)


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


@pytest.mark.parametrize(
    ("name", "answer"), [("unet", "DETECTIONS"), ("unet_fast", "DETECTIONS"), ("unet_map", "MAP")]
)
def test_network(served: dict[str, ServedModel], name: str, answer: str) -> None:
    alone = open_network(network_file(MODEL_REPOSITORY, name))
    requests = [_request((3, 16, 20), seed=1), _request((1, 64, 64), seed=2)]
    responses = served[name].execute(*map(_network_inputs, requests))
    for request, response in zip(requests, responses, strict=True):
        expected = alone.detect(request.frames_adu, request.levels_adu)
        np.testing.assert_array_equal(_tensors(response)[answer], expected)
        assert _tensors(response)["COMPUTED_REQUEST"].tolist() == REQUEST.tolist()


def test_unet_answers_within_the_contract(served: dict[str, ServedModel]) -> None:
    """Probabilities are probabilities, and no offset leaves the margin of a core."""
    (found,) = served["unet"].execute(_network_inputs(_request((4, 64, 64))))
    probability, offset_y, offset_x, *positive = np.moveaxis(_tensors(found)["DETECTIONS"], 1, 0)
    assert 0 <= probability.min() <= probability.max() <= 1
    assert max(np.abs(offset_y).max(), np.abs(offset_x).max()) <= contract.MAX_OFFSET_PX
    assert len(positive) == 4  # two sigmas, the intensity and its sigma
    assert np.min(positive) > 0


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("asks_molecules", [False, True])
def test_summation(served: dict[str, ServedModel], classes: int, asks_molecules: bool) -> None:
    windows = [
        Window(8, 0, 0, 16, 20, classes, asks_molecules),
        Window(3, 2, 4, 5, 6, classes, asks_molecules),
    ]
    answers = [_detections(), _detections(frames=7, seed=1)]
    batch = [_summation_inputs(*each) for each in zip(answers, windows, strict=True)]
    responses = served["summation"].execute(*batch)
    for detections, window, response in zip(answers, windows, responses, strict=True):
        expected = image(draw(detections, window.as_tensor(), BORDERS_PX), window)
        assert expected.any()
        np.testing.assert_array_equal(_image(response, window), expected)
        assert _tensors(response)["FRAME_COUNT"].tolist() == [len(detections)]
        table = _tensors(response)["MOLECULES"]
        assert (len(table) > 0) is asks_molecules
        if asks_molecules:
            expected_table = molecules(candidates(detections), window)
            np.testing.assert_array_equal(table, expected_table)


def test_summation_map(served: dict[str, ServedModel]) -> None:
    windows = [WHOLE, Window(8, 2, 4, 5, 6)]
    maps = [_maps(), _maps(frames=7, seed=1)]
    batch = [_summation_inputs(*each) for each in zip(maps, windows, strict=True)]
    responses = served["summation_map"].execute(*batch)
    for each, window, response in zip(maps, windows, responses, strict=True):
        expected = image(sum_map(each, window.as_tensor()), window)
        assert expected.any()
        np.testing.assert_array_equal(_image(response, window), expected)
        assert _tensors(response)["FRAME_COUNT"].tolist() == [len(each)]


def test_no_requests_have_no_responses(served: dict[str, ServedModel]) -> None:
    assert [model.execute() for model in served.values()] == [[]] * len(CONFIGURATIONS)


# --- in a chain -----------------------------------------------------------------------------


def _through_the_chain(served: dict[str, ServedModel], network: str, request: Request) -> Tensors:
    (found,) = served[network].execute(_network_inputs(request))
    answers, number = _tensors(found).values()
    inputs = {**_summation_inputs(answers, request.window), "COMPUTED_REQUEST": number}
    (summed,) = served[CHAINS[network]].execute(inputs)
    assert _tensors(summed)["SUMMED_REQUEST"].tolist() == REQUEST.tolist()
    return _tensors(summed)


@pytest.mark.parametrize(
    ("network", "shape", "zoom", "asked"),
    [
        ("unet", (3, 20, 24), 8, {}),
        ("unet", (1, 16, 16), 1, {"classes": 3}),
        ("unet", (20, 64, 64), 5, {"molecules": True}),
        ("unet", (2, 128, 72), 16, {"classes": 2, "molecules": True}),
        ("unet_fast", (3, 20, 24), 8, {}),
        ("unet_fast", (20, 64, 64), 5, {"classes": 3, "molecules": True}),
        ("unet_map", (3, 20, 24), 8, {}),
        ("unet_map", (20, 64, 64), 8, {}),
    ],
)
def test_chain_equals_the_local_engine_bit_for_bit(
    served: dict[str, ServedModel],
    network: str,
    shape: tuple[int, int, int],
    zoom: int,
    asked: dict[str, Any],
) -> None:
    request = _request(shape, zoom=zoom, **asked)
    summed = _through_the_chain(served, network, request)
    expected = LocalTransport(network_file(MODEL_REPOSITORY, network)).sum_chunk(request)
    expected_image = image(expected.sums, request.window)
    assert expected_image.any()
    np.testing.assert_array_equal(_image(summed, request.window), expected_image)
    assert summed["FRAME_COUNT"].tolist() == [expected.frame_count]
    assert (expected.molecules is not None) is request.window.molecules
    if expected.molecules is not None:
        np.testing.assert_array_equal(summed["MOLECULES"], expected.molecules)


@pytest.mark.parametrize("network", CHAINS)
def test_a_planned_tile_goes_through_the_chain(
    served: dict[str, ServedModel], network: str
) -> None:
    chunk = chunking.plan(2, 68, 64, chunk_frames=2, tile_px=64)[1]
    window = chunk.tile.window(8)
    request = dataclasses.replace(_request((2, 64, 64)), window=window)
    summed = _through_the_chain(served, network, request)
    expected = LocalTransport(network_file(MODEL_REPOSITORY, network)).sum_chunk(request)
    found = _image(summed, window)
    assert found.any()
    np.testing.assert_array_equal(found, image(expected.sums, window))
    assert found.shape == image_shape(8, chunk.tile.y.core_size, chunk.tile.x.core_size)


# --- bad requests among good ones -----------------------------------------------------------


def _bad_levels() -> Tensors:
    good = _network_inputs(_request())
    return {**good, "LEVELS": np.zeros_like(good["LEVELS"])}


def _other_levels() -> Tensors:
    good = _network_inputs(_request())
    return {**good, "LEVELS": good["LEVELS"][:2]}


def _no_probability() -> Tensors:
    detections = _detections()
    detections[1, 0, 3, 3] = np.nan
    return _summation_inputs(detections)


def _far_away() -> Tensors:
    detections = _detections()
    detections[1, 1, 3, 3] = 1.5
    return _summation_inputs(detections)


def _no_sigma() -> Tensors:
    detections = _detections()
    detections[1, 4, 3, 3] = 0
    return _summation_inputs(detections, dataclasses.replace(WHOLE, molecules=True))


def _no_map() -> Tensors:
    maps = _maps()
    maps[1, 0, 3, 3] = np.nan
    return _summation_inputs(maps)


@pytest.mark.parametrize(
    ("name", "bad", "words"),
    [
        ("unet", lambda: _network_inputs(_request((2, 18, 20))), "expected multiples of 4"),
        ("unet", _bad_levels, "LEVELS must be finite"),
        ("unet_fast", _other_levels, "LEVELS has shape (2, 2); expected (3, 2)"),
        ("unet_map", _bad_levels, "LEVELS must be finite"),
        ("summation", _no_probability, "with a probability that is not within 0 and 1"),
        ("summation", _far_away, "with an offset beyond 1 px"),
        ("summation", _no_sigma, "or an intensity that is not positive"),
        ("summation_map", _no_map, "a number of emitters that is not a number"),
    ],
)
def test_a_model_refuses_one_and_answers_its_neighbours(
    served: dict[str, ServedModel], name: str, bad: Callable[[], Tensors], words: str
) -> None:
    good = {
        "summation": lambda: _summation_inputs(_detections(seed=3)),
        "summation_map": lambda: _summation_inputs(_maps(seed=3)),
    }.get(name, lambda: _network_inputs(_request(seed=5)))()
    (expected,) = served[name].execute(good)
    first, second, third = served[name].execute(good, bad(), good)
    assert words in _error(second)
    assert second.code == backend.TritonError.INVALID_ARG  # type: ignore[union-attr]
    for response in (first, third):
        for tensor, values in _tensors(expected).items():
            np.testing.assert_array_equal(_tensors(response)[tensor], values)


@pytest.mark.parametrize(
    ("name", "answers"), [("summation", _detections), ("summation_map", _maps)]
)
@pytest.mark.parametrize("different", [(1, 0), (0, 1), (-(2**31), 0)])
def test_a_summation_refuses_the_answers_to_another_request(
    served: dict[str, ServedModel],
    name: str,
    answers: Callable[[], Array],
    different: tuple[int, int],
) -> None:
    """As Triton hands on the late answer of a network's process; also if it has other frames."""
    good = _summation_inputs(answers())
    other = {**good, "COMPUTED_REQUEST": REQUEST + np.array(different, np.int32)}
    fewer = {**other, "LEVELS": other["LEVELS"][1:]}
    backend.Logger.errors.clear()
    first, *refused, last = served[name].execute(good, other, fewer, good)
    for response in refused:
        assert f"{name!r} got the network's answer to another request" in _error(response)
        assert response.code == backend.TritonError.UNAVAILABLE  # type: ignore[union-attr]
        text = f"in ensemble 'reconstruction', {response}"
        told = error_of("UNAVAILABLE", text, "a:8001", "chunk 1", several=False)
        assert isinstance(told, SwappedAnswerError)
    assert backend.Logger.errors == []
    for response in (first, last):
        assert _image(response).any()
        assert _tensors(response)["SUMMED_REQUEST"].tolist() == REQUEST.tolist()


def test_a_number_is_that_of_its_request_though_its_memory_is_not(
    served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton may write the next request where this one was."""
    memory = REQUEST.copy()
    monkeypatch.setattr(backend.Tensor, "as_numpy", lambda tensor: tensor._array)
    request = _network_inputs(_request())
    detect = served["unet"]._model._network.detect

    def detected(*frames_and_levels: Array) -> Any:
        memory[:] = 0
        return detect(*frames_and_levels)

    monkeypatch.setattr(served["unet"]._model._network, "detect", detected)
    (found,) = served["unet"].execute({**request, "REQUEST": memory})
    assert _tensors(found)["COMPUTED_REQUEST"].tolist() == REQUEST.tolist()


@pytest.mark.parametrize("name", ["unet", "summation", "summation_map"])
def test_an_unforeseen_failure_is_told_by_its_kind_alone(
    served: dict[str, ServedModel], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The words of a library name files and nodes: they stay in the server."""

    def fail(*_: object) -> None:
        raise OSError("/home/someone/secret.py is gone")

    used = {
        "unet": (serving_network, "frames_of"),
        "summation": (serving_summation._HOST, "draw"),
        "summation_map": (serving_summation._HOST, "sum_map"),
    }
    monkeypatch.setattr(*used[name], fail)
    inputs = {
        "unet": _network_inputs(_request()),
        "summation": _summation_inputs(_detections()),
        "summation_map": _summation_inputs(_maps()),
    }
    backend.Logger.errors.clear()
    (response,) = served[name].execute(inputs[name])
    assert _error(response) == "the model failed with OSError; the server's log tells more"
    assert response.code == backend.TritonError.INTERNAL  # type: ignore[union-attr]
    (logged,) = backend.Logger.errors
    assert logged.startswith(f"{name}: Traceback")
    assert "OSError: /home/someone/secret.py is gone" in logged


def test_what_a_client_did_wrong_is_not_logged(served: dict[str, ServedModel]) -> None:
    backend.Logger.errors.clear()
    outside = dataclasses.replace(WHOLE, height_px=999)
    (response,) = served["summation"].execute(_summation_inputs(_detections(), outside))
    assert "does not lie in a tile of 16 x 20" in _error(response)
    assert backend.Logger.errors == []


def test_our_own_errors_speak_for_themselves() -> None:
    assert respond.message(ChunkError("FRAMES is odd; pad it")) == "FRAMES is odd; pad it"
