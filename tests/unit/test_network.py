"""The network in this process against ONNX Runtime called directly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from smlm_pipeline import network
from smlm_pipeline.network import Network
from smlm_pipeline.repository import network_file


@pytest.fixture(scope="module")
def path(model_repository: Path) -> Path:
    return network_file(model_repository)


def _directly(path: Path, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frame by frame, with ONNX Runtime's own settings."""
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers = [
        session.run(["DETECTIONS"], {"NORMALIZED": frame[None, None]}) for frame in normalized
    ]
    return np.concatenate([detections for (detections,) in answers])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_detections_are_those_of_the_frame_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    """However many frames are run together: here four at a time."""
    monkeypatch.setattr(network, "RUN_PIXELS", 4 * 24 * 32)
    normalized = np.random.default_rng(count).normal(0, 2, (count, 24, 32)).astype(np.float32)
    found = Network(path, intra_op_threads=threads).detect(normalized[:, None])
    assert found.dtype == np.float32
    assert found.shape == (count, 5, 24, 32)
    np.testing.assert_array_equal(found, _directly(path, normalized))


def test_a_frame_larger_than_a_run_is_run_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "RUN_PIXELS", 100)
    normalized = np.random.default_rng(0).normal(0, 2, (2, 16, 16)).astype(np.float32)
    found = Network(path, intra_op_threads=1).detect(normalized[:, None])
    np.testing.assert_array_equal(found, _directly(path, normalized))


def test_cpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 8}, raising=False)
    assert network.available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert network.available_cpus() == 1
