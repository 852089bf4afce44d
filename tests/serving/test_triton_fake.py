"""The fake of Triton's module refuses misuse, lest a test pass that a server would not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import triton_python_backend as backend


def _array() -> NDArray[np.float32]:
    return np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: backend.Tensor(_array(), "A"), "name is a string"),  # type: ignore[arg-type]
        (lambda: backend.Tensor("A", [0.0]), "takes an ndarray, not list"),  # type: ignore[arg-type]
        (lambda: backend.Tensor("A", np.array(["a"])), "cannot hold <U1"),
        (lambda: backend.TritonError(ValueError("no"), "INTERNAL"), "message is a string"),  # type: ignore[arg-type]
        (lambda: backend.TritonError("no", "PERHAPS"), "one of TritonError, not 'PERHAPS'"),
        (lambda: backend.InferenceResponse(), "either tensors or an error"),
        (
            lambda: backend.InferenceResponse(
                [backend.Tensor("A", _array())], error=backend.TritonError("no", "INTERNAL")
            ),
            "either tensors or an error",
        ),
        (
            lambda: backend.InferenceResponse(error="no"),  # type: ignore[arg-type]
            "an error is a TritonError, not str",
        ),
        (lambda: backend.InferenceResponse([_array()]), "expected a list of tensors"),  # type: ignore[list-item]
        (lambda: backend.InferenceRequest([backend.Tensor("A", _array())] * 2), "names repeat"),
        (
            lambda: backend.get_input_tensor_by_name(backend.InferenceRequest([]), "FRAMES"),
            "was asked for 'FRAMES'",
        ),
    ],
)
def test_the_fake_refuses_misuse(misuse: Callable[[], object], words: str) -> None:
    with pytest.raises((TypeError, ValueError, LookupError), match=words):
        misuse()


def test_the_fake_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="get_input_tensor"):
        _ = backend.get_input_tensor  # type: ignore[attr-defined]
