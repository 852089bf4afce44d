"""What may pass is tried again, and what will not is told at once."""

from __future__ import annotations

import pytest

from smlm_pipeline import contract
from smlm_pipeline.engines.triton.errors import error_of
from smlm_pipeline.errors import (
    DeadModelError,
    InferenceError,
    ReconError,
    ServerError,
    SwappedAnswerError,
    TransientServerError,
)

ADDRESS = "a:1 and b:1"

PASSING = [
    ("UNAVAILABLE", "failed to connect to all addresses; last error: Connection refused"),
    ("UNAVAILABLE", "Request timeout expired"),
    ("CANCELLED", "request was cancelled"),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded"),
    ("NOT_FOUND", "Request for unknown model: 'reconstruction' has no available versions"),
    ("RESOURCE_EXHAUSTED", "too many requests, says the proxy"),
    ("UNKNOWN", "Stream removed"),
    ("INTERNAL", "Received RST_STREAM with error code 2"),
]

FINAL = [
    ("RESOURCE_EXHAUSTED", "CLIENT: Sent message larger than max (5 vs. 4)", InferenceError),
    ("INVALID_ARGUMENT", "FRAMES is of 6 x 8 camera pixels; pad the tile", InferenceError),
    ("INTERNAL", "the model failed with OSError; the server's log tells more", InferenceError),
    ("UNAVAILABLE", "This protocol is restricted, expecting header 'key'", ServerError),
    ("UNAVAILABLE", "a:1: Failed parsing HTTP/2 (Expected SETTINGS frame)", ServerError),
]

each_number = pytest.mark.parametrize("several", [False, True])


def _error(code: str, text: str, *, several: bool) -> ReconError:
    error = error_of(code, text, ADDRESS, "frames 0 to 31", several=several)
    assert ADDRESS in str(error)
    assert text in str(error)
    assert ("one of the servers at" in str(error)) is several
    return error


@each_number
@pytest.mark.parametrize(("code", "text"), PASSING)
def test_what_may_pass(code: str, text: str, several: bool) -> None:
    assert type(_error(code, text, several=several)) is TransientServerError


@each_number
@pytest.mark.parametrize(("code", "text", "kind"), FINAL)
def test_what_will_not(code: str, text: str, kind: type[ReconError], several: bool) -> None:
    assert type(_error(code, text, several=several)) is kind


@each_number
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UNAVAILABLE", f"in ensemble 'reconstruction', 'summation' got the {contract.SWAPPED}"),
        (
            "INVALID_ARGUMENT",
            "in ensemble 'reconstruction', [request id: <id_unknown>] expected 6 inputs but got 5 "
            "inputs for model 'summation'. Got input(s) ['REQUEST','WINDOW','DETECTIONS','LEVELS',"
            "'CLASS_BORDERS'], but missing required input(s) ['COMPUTED_REQUEST'].",
        ),
        ("INTERNAL", "in ensemble 'reconstruction', Failed to retrieve the response error."),
        ("INTERNAL", "in ensemble 'reconstruction', Failed to process the requests."),
        ("INTERNAL", "in ensemble 'reconstruction', \xd0\x02"),
        ("INTERNAL", "in ensemble 'reconstruction',"),
    ],
)
def test_an_answer_to_another_request(code: str, text: str, several: bool) -> None:
    """The summation has noticed it, or Triton, which lost a part of it (seen in 2.51)."""
    error = _error(code, text, several=several)
    assert type(error) is SwappedAnswerError
    assert "mixed up requests" in str(error)


@pytest.mark.parametrize(
    "reason",
    [
        "Failed to process the request(s) for model instance 'summation_0_0', message: ValueError",
        "the model failed with OSError; the server's log tells more",
        "unable to enqueue for TensorRT execution",
    ],
)
def test_a_model_that_states_why_it_failed_is_another_matter(reason: str) -> None:
    text = f"in ensemble 'reconstruction', {reason}"
    assert type(_error("INTERNAL", text, several=False)) is InferenceError


def test_a_client_that_lacks_an_input_is_another_matter() -> None:
    text = "expected 5 inputs but got 4 inputs for model 'reconstruction'. Got input(s) ['FRAMES']"
    text += ", but missing required input(s) ['REQUEST']"
    assert type(_error("INVALID_ARGUMENT", text, several=False)) is InferenceError


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "in ensemble 'reconstruction', Stub process 'unet_0_0' is not healthy.",
        "Failed to process the request(s), message: Stub process 'unet_0_0' is not healthy.",
        "The stub process has exited unexpectedly.",
    ],
)
def test_a_model_that_died(text: str, several: bool) -> None:
    """Another server helps, or the same one, once it was started again."""
    error = _error("INTERNAL", text, several=several)
    assert type(error) is DeadModelError
    assert "a model's process died on" in str(error)
    assert "has to be restarted" in str(error)
