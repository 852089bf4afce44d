"""Loops that Numba compiles when they are first used; what it compiled is kept where it may write.

They compute in a fixed order and with no operation that processors round differently, so all
machines give the same bits.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import NullCache

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

_dispatchers: list[Any] = []

_CACHE_FAULTS = (
    # the disk is full or cannot be read; a file that is kept is damaged (see pickle's Unpickler)
    *(OSError, pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError),
    *(ValueError, KeyError),
)


def compiled(kernel: _Kernel) -> _Kernel:
    """A loop that other compiled loops may call."""
    try:
        dispatcher: Any = numba.njit(cache=True, nogil=True)(kernel)
    except RuntimeError:  # there is no folder that may be written, as in a container
        dispatcher = numba.njit(nogil=True)(kernel)
    _dispatchers.append(dispatcher)
    return cast(_Kernel, dispatcher)


def whatever_is_kept(kernel: _Kernel) -> _Kernel:
    """A `compiled` loop for Python, which compiles again where what was kept cannot be used."""

    @functools.wraps(kernel)
    def call(*values: Any) -> Any:
        try:
            return kernel(*values)
        except _CACHE_FAULTS:  # before anything is computed
            for each in _dispatchers:
                each._cache = NullCache()  # noqa: SLF001 - Numba has no other way back
            return kernel(*values)

    return cast(_Kernel, call)
