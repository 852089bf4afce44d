"""What a server's failure means: whether the same request may pass later, and what to tell."""

from __future__ import annotations

from smlm_pipeline.errors import (
    ContractError,
    InferenceError,
    ReconError,
    ServerError,
    TransientServerError,
)

_TOO_SLOW = "DEADLINE_EXCEEDED"
"""Nothing came within the time that the client allows."""

_PASSING = {"UNAVAILABLE", "CANCELLED", _TOO_SLOW}
"""Gone, full, stopping, or slow: by the names of gRPC's status codes."""

_TOO_LARGE = "larger than max"
"""Of RESOURCE_EXHAUSTED: a message that no other try makes smaller."""

_BROKEN_CONNECTION = ("Stream removed", "RST_STREAM")
"""How a lost connection is told under other codes, by proxies among others."""

_OTHER_PROTOCOL = "Failed parsing HTTP/2"
"""What answers is no gRPC server; behind TLS it only closes the connection."""

_STOPPING = "no available versions"
"""What a server says of every model while it stops."""

_DEAD_STUB = ("Stub process", "stub process")
"""A process of a Python model that is no more: Triton does not start it again."""


def error_of(code: str, text: str, address: str, label: str, *, several: bool) -> ReconError:
    """The error that a failed request is.

    Parameters
    ----------
    code : str
        Name of gRPC's status code.
    text : str
        What the server, or gRPC, says.
    address : str
        Where the request was sent to.
    label : str
        Name of the chunk.
    several : bool
        Whether another try may go to another server.

    Returns
    -------
    ReconError
        A `TransientServerError` where another try may help.
    """
    server = f"one of the servers at {address}" if several else f"the server at {address}"
    if "restricted" in text:
        return ServerError(f"{label}: {server} refuses inference: {text}")
    if _OTHER_PROTOCOL in text:
        return ServerError(
            f"{label}: {server} does not speak gRPC: {text}; expected the address of Triton's "
            "gRPC endpoint, not of its HTTP endpoint"
        )
    if any(words in text for words in _DEAD_STUB):
        told = f"{label}: a model's process died on {server}, which has to be restarted: {text}"
        return TransientServerError(told) if several else ServerError(told)
    if _may_pass(code, text):
        hint = "; --timeout-s allows it more time" if code == _TOO_SLOW else ""
        return TransientServerError(f"{label}: {server} did not answer: {text}{hint}")
    if code == "NOT_FOUND":
        return ContractError(f"{server} lacks the model: {text}")
    return InferenceError(f"{label}: {server} refused the chunk: {text}")


def _may_pass(code: str, text: str) -> bool:
    """Whether the same request may be answered later."""
    return (
        code in _PASSING
        or (code == "NOT_FOUND" and _STOPPING in text)
        or (code == "RESOURCE_EXHAUSTED" and _TOO_LARGE not in text)
        or any(words in text for words in _BROKEN_CONNECTION)
    )
