"""TensorFlow without what it says of itself while it is loaded, which hides our own messages."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own switch; with it alone, some lines come before it is read."""


def load_tensorflow_quietly() -> None:
    """Import Keras with TensorFlow; what that writes to standard error is dropped.

    Whoever sets ``TF_CPP_MIN_LOG_LEVEL`` to 0 sees all of it.
    """
    if "tensorflow" in sys.modules:
        return
    asked = os.environ.setdefault(_LEVEL, "3")
    with contextlib.nullcontext() if asked == "0" else _unheard():
        importlib.import_module("keras")
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Nothing reaches the process's standard error, whichever language writes it."""
    sys.stderr.flush()
    heard = os.dup(2)
    try:
        with tempfile.TemporaryFile() as nobody:
            os.dup2(nobody.fileno(), 2)
            yield
    finally:
        os.dup2(heard, 2)
        os.close(heard)
