"""``compute.gpu`` with and without a GPU."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest

from fakes import cupy_on_host


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> ModuleType:
    """``compute.gpu`` over a GPU's CuPy or over the one of the host."""
    kernels_there: ModuleType = request.getfixturevalue(f"on_{request.param}")
    return kernels_there


@pytest.fixture
def on_host() -> Iterator[ModuleType]:
    with cupy_on_host.installed() as module:
        yield module


@pytest.fixture
def on_gpu() -> ModuleType:
    return importlib.import_module("smlm_pipeline.compute.gpu")
