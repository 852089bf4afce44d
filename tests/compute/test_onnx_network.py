"""The network in this process against ONNX Runtime called directly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute import onnx_network, processor
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import network_file


@pytest.fixture(scope="module")
def path(model_repository: Path) -> Path:
    return network_file(model_repository, contract.UNET.name)


def _directly(path: Path, normalized: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frame by frame, with ONNX Runtime's own settings."""
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers = [session.run(None, {"NORMALIZED": frame[None]}) for frame in normalized]
    return np.concatenate([found for (found,) in answers])


def _normalized(count: int, height: int, width: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(count)
    return rng.normal(0, 2, (count, 1, height, width)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_detections_are_those_of_the_frame_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    """However many frames are run together: here four at a time."""
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 4 * 24 * 32)
    normalized = _normalized(count, 24, 32)
    found = OnnxNetwork(path, intra_op_threads=threads).detect(normalized)
    assert found.dtype == np.float32
    assert found.shape == (count, 5, 24, 32)
    np.testing.assert_array_equal(found, _directly(path, normalized))


def test_a_frame_larger_than_a_run_is_run_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 100)
    normalized = _normalized(2, 16, 16)
    found = OnnxNetwork(path, intra_op_threads=1).detect(normalized)
    np.testing.assert_array_equal(found, _directly(path, normalized))


@pytest.mark.parametrize("count", [1, 5])
def test_a_map_network_answers_with_maps(
    model_repository: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 2 * 16 * 20)
    path = network_file(model_repository, contract.UNET_MAP.name)
    served = OnnxNetwork(path, intra_op_threads=1)
    assert served.answer == contract.MAP_ANSWER
    normalized = _normalized(count, 16, 20)
    found = served.detect(normalized)
    assert found.dtype == np.float32
    assert found.shape == (count, 1, 128, 160)
    np.testing.assert_array_equal(found, _directly(path, normalized))


def test_a_network_says_what_it_answers(path: Path) -> None:
    assert OnnxNetwork(path, intra_op_threads=1).answer == contract.DETECTION_ANSWER


def _identity(path: Path, tensor: tuple[str, int], answer: str) -> Path:
    """A network that answers with what it reads."""
    name, channels = tensor
    spec, other = (
        onnx.helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, ["N", channels, "H", "W"])
        for each in (name, answer)
    )
    node = onnx.helper.make_node("Identity", [name], [answer])
    opset = [onnx.helper.make_opsetid("", 17)]
    graph = onnx.helper.make_graph([node], "identity", [spec], [other])
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("tensor", "answer", "told"),
    [
        (("NORMALIZED", 2), "PIXELS", "NORMALIZED of 2 channels, PIXELS of 2 channels"),
        (("FRAMES", 5), "DETECTIONS", "FRAMES of 5 channels, DETECTIONS of 5 channels"),
        (("NORMALIZED", 2), "MAP", "NORMALIZED of 2 channels, MAP of 2 channels"),
    ],
)
def test_a_network_of_another_contract_is_refused(
    tmp_path: Path, tensor: tuple[str, int], answer: str, told: str
) -> None:
    path = _identity(tmp_path / "other.onnx", tensor, answer)
    with pytest.raises(ContractError, match=f"tensors are {told}; expected NORMALIZED of 1, then"):
        OnnxNetwork(path, intra_op_threads=1)


def test_cpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 8}, raising=False)
    assert processor.available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processor.available_cpus() == 1
