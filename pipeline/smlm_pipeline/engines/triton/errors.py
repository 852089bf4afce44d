"""Map a failure of a server to an error of this package, and decide whether to try again."""

from __future__ import annotations

from smlm_pipeline import contract
from smlm_pipeline.errors import (
    ContractError,
    DeadModelError,
    InferenceError,
    ReconError,
    ServerError,
    ServerFullError,
    SwappedAnswerError,
    TransientServerError,
)

_TOO_SLOW = "DEADLINE_EXCEEDED"
"""Nothing came within the time that the client allows."""

_PASSING = {"UNAVAILABLE", "CANCELLED", _TOO_SLOW}
"""Gone, full, stopping, or slow: by the names of gRPC's status codes."""

_FULL = {"UNAVAILABLE": "maximum queue size", "RESOURCE_EXHAUSTED": "requests under way"}
"""Codes and part of their texts where a model's queue, or a gate, is full: its server works."""

NOT_ADMITTED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
"""Codes of a gate that does not know this client."""

TOO_LARGE = "larger than max"
"""Part of RESOURCE_EXHAUSTED for a message that is too large, for which no other try helps."""

BROKEN_CONNECTION = ("Stream removed", "RST_STREAM")
"""Parts of the text of a lost connection under other codes, which proxies use among others."""

_OTHER_PROTOCOL = "Failed parsing HTTP/2"
"""Part of the text where no gRPC server answers; behind TLS it only closes the connection."""

_STOPPING = "no available versions"
"""Part of the text of a server that stops, for every model."""

_DEAD_STUB = ("Stub process", "stub process")
"""Parts of the text of a Python model whose process died: its server has to be restarted, which
`recon-client serve` and the image do by themselves."""


_IN_ENSEMBLE = "in ensemble"
LOST = (
    *("missing required input", "Failed to retrieve the response"),
    "Failed to process the requests.",  # without a reason: a model that fails states one
)
"""Parts of the text where a step's process slept and the next step got no input from it, or its
answer could not be read: Triton handed on a late one of which a part was lost (seen in 2.51)."""


def is_busy(code: str, text: str) -> bool:
    """Whether a call that ended so may be answered later: its server, or a gate, is there."""
    full = code == "RESOURCE_EXHAUSTED" and TOO_LARGE not in text
    return full or any(words in text for words in BROKEN_CONNECTION)


def is_lost(text: str) -> bool:
    """Whether a part of an answer was lost between the steps of an ensemble.

    Instead of a reason Triton may then send what lies in its memory, or nothing; every reason of a
    model, or of Triton, is printable ASCII.
    """
    if _IN_ENSEMBLE not in text:
        return False
    reason = text.partition("', ")[2]
    readable = bool(reason) and reason.isascii() and reason.isprintable()
    return not readable or any(words in text for words in LOST)


def error_of(code: str, text: str, address: str, label: str, *, several: bool) -> ReconError:
    """Return the error of a failed request.

    Parameters
    ----------
    code : str
        Name of gRPC's status code.
    text : str
        Text of the server, or of gRPC.
    address : str
        Addresses that the request was sent to.
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
    if "restricted" in text or code in NOT_ADMITTED:
        return ServerError(f"{label}: {server} refuses inference: {text}")
    if _OTHER_PROTOCOL in text:
        return ServerError(
            f"{label}: {server} does not speak gRPC: {text}; expected the address of Triton's "
            "gRPC endpoint, not of its HTTP endpoint"
        )
    if any(words in text for words in _DEAD_STUB):
        return DeadModelError(
            f"{label}: a model's process died on {server}, which has to be restarted: {text}"
        )
    if contract.SWAPPED in text or is_lost(text):
        return SwappedAnswerError(f"{label}: {server} mixed up requests: {text}")
    if code in _FULL and _FULL[code] in text:
        return ServerFullError(f"{label}: {server} has too many requests: {text}")
    if _may_pass(code, text):
        hint = "; --timeout-s allows it more time" if code == _TOO_SLOW else ""
        return TransientServerError(f"{label}: {server} did not answer: {text}{hint}")
    if code == "NOT_FOUND":
        return ContractError(f"{server} lacks the model: {text}")
    return InferenceError(f"{label}: {server} refused the chunk: {text}")


def _may_pass(code: str, text: str) -> bool:
    """Whether the same request may be answered later."""
    stopping = code == "NOT_FOUND" and _STOPPING in text
    return code in _PASSING or stopping or is_busy(code, text)
