"""The network in this process against ONNX Runtime called directly."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray

from fakes.network_inputs import frames_and_levels, tensors
from smlm_pipeline import contract
from smlm_pipeline.compute import onnx_network, processor
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ChunkError, ContractError
from smlm_pipeline.model_repository import network_file
from smlm_training.delivery.request_graph import without_request


@pytest.fixture(scope="module")
def path(model_repository: Path) -> Path:
    return network_file(model_repository, contract.UNET.name)


def _directly(
    path: Path, frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Frame by frame, with ONNX Runtime's own settings."""
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ends = range(1, len(frames_adu) + 1)
    alone = [tensors(frames_adu[end - 1 : end], levels_adu[end - 1 : end]) for end in ends]
    return np.concatenate([session.run(None, frame)[0] for frame in alone])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_detections_are_those_of_the_frame_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, count: int, threads: int
) -> None:
    """However many frames are run together: here four at a time."""
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 4 * 24 * 32)
    frames = frames_and_levels(count, 24, 32)
    found = OnnxNetwork(path, intra_op_threads=threads).detect(*frames)
    assert found.dtype == np.float32
    assert found.shape == (count, 7, 24, 32)
    np.testing.assert_array_equal(found, _directly(path, *frames))


def test_a_frame_larger_than_a_run_is_run_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 100)
    frames = frames_and_levels(2, 16, 16)
    found = OnnxNetwork(path, intra_op_threads=1).detect(*frames)
    np.testing.assert_array_equal(found, _directly(path, *frames))


@pytest.mark.parametrize("count", [1, 5])
def test_a_map_network_answers_with_maps(
    model_repository: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(onnx_network, "RUN_PIXELS", 2 * 16 * 20)
    path = network_file(model_repository, contract.UNET_MAP.name)
    served = OnnxNetwork(path, intra_op_threads=1)
    assert served.answer == contract.MAP_ANSWER
    frames = frames_and_levels(count, 16, 20)
    found = served.detect(*frames)
    assert found.dtype == np.float32
    assert found.shape == (count, 1, 128, 160)
    np.testing.assert_array_equal(found, _directly(path, *frames))


def test_a_network_says_what_it_answers(path: Path) -> None:
    assert OnnxNetwork(path, intra_op_threads=1).answer == contract.DETECTION_ANSWER


@pytest.mark.parametrize("name", ["unet", "unet_fast", "unet_map"])
def test_the_graph_normalises_as_we_do(model_repository: Path, name: str) -> None:
    """The inner tensor NORMALIZED has the bits of `normalize`, for every value of a pixel."""
    model = onnx.load(network_file(model_repository, name))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(
            contract.NORMALIZED.name, onnx.TensorProto.FLOAT, ["N", 1, "H", "W"]
        )
    )
    session: Any = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    every_value = np.arange(1 << 16, dtype=np.uint16).reshape(1, 256, 256)
    frames_adu = np.concatenate([every_value, every_value[:, ::-1], every_value])
    levels_adu = np.array([[100, 37], [1234.5, 1 / 3], [-7.25, 60000]], np.float32)
    (found,) = session.run([contract.NORMALIZED.name], tensors(frames_adu, levels_adu))
    np.testing.assert_array_equal(found, normalize(frames_adu, levels_adu))


@pytest.mark.parametrize("levels", [(math.nan, 1), (0, math.inf), (0, 0), (0, -1)])
def test_levels_that_cannot_be_divided_by_are_refused(
    path: Path, levels: tuple[float, float]
) -> None:
    network = OnnxNetwork(path, intra_op_threads=1)
    with pytest.raises(ChunkError, match="LEVELS must be finite with a positive scale"):
        network.detect(np.zeros((1, 16, 16), np.uint16), np.array([levels], np.float32))


OTHER_NETWORK = """<ir_version: 8, opset_import: ["": 17]> g
(uint8[N,H,W,2] FRAMES, float[N,{levels}] LEVELS, int32[2] REQUEST)
=> (float[N,{channels},H,W] {answer}, int32[2] COMPUTED_REQUEST)
<float[{channels},2,1,1] weights = {{{zeros}}}>
{{
  numbers = Cast<to = 1>(FRAMES)
  turned = Transpose<perm = [0, 3, 1, 2]>(numbers)
  {answer} = Conv(turned, weights)
  COMPUTED_REQUEST = Identity(REQUEST)
}}"""


@pytest.mark.parametrize(
    ("levels", "answer", "channels", "listed"),
    [
        (2, "PIXELS", 5, r"LEVELS \[-1, 2\], REQUEST \[2\], PIXELS \[-1, 5, -1, -1\]"),
        (3, "DETECTIONS", 5, r"LEVELS \[-1, 3\], REQUEST \[2\], DETECTIONS \[-1, 5, -1, -1\]"),
        (2, "DETECTIONS", 3, r"LEVELS \[-1, 2\], REQUEST \[2\], DETECTIONS \[-1, 3, -1, -1\]"),
        (2, "MAP", 2, r"LEVELS \[-1, 2\], REQUEST \[2\], MAP \[-1, 2, -1, -1\]"),
    ],
)
def test_a_network_of_another_contract_is_refused(
    tmp_path: Path, levels: int, answer: str, channels: int, listed: str
) -> None:
    zeros = ", ".join("0" * 2 * channels)
    text = OTHER_NETWORK.format(levels=levels, answer=answer, channels=channels, zeros=zeros)
    onnx.save(onnx.parser.parse_model(text), tmp_path / "other.onnx")
    expected = r"LEVELS \[-1, 2\], REQUEST \[2\], then DETECTIONS .* or MAP .*, then COMPUTED_R"
    with pytest.raises(ContractError, match=rf"are FRAMES .*, {listed}, .*; expected .*{expected}"):
        OnnxNetwork(tmp_path / "other.onnx", intra_op_threads=1)


def test_a_network_that_does_not_pass_the_number_on_is_refused(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "before.onnx"
    onnx.save(without_request(onnx.load(path)), file)
    with pytest.raises(ContractError, match=r"are FRAMES .*; expected .*, then COMPUTED_REQUEST"):
        OnnxNetwork(file, intra_op_threads=1)


OLD_NETWORK = """<ir_version: 8, opset_import: ["": 17]> g
(float[N,1,H,W] NORMALIZED) => (float[N,1,H,W] DETECTIONS) { DETECTIONS = Identity(NORMALIZED) }"""


def test_a_network_without_normalisation_is_refused(tmp_path: Path) -> None:
    """As of contract 2, which took NORMALIZED."""
    onnx.save(onnx.parser.parse_model(OLD_NETWORK), tmp_path / "old.onnx")
    with pytest.raises(ContractError, match=r"are NORMALIZED .*: train it with this release"):
        OnnxNetwork(tmp_path / "old.onnx", intra_op_threads=1)
    with pytest.raises(ContractError, match=r"are NORMALIZED .*: train it with this release"):
        open_network(tmp_path / "old.onnx")


def test_cpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 8}, raising=False)
    assert processor.available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS and Windows have none
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processor.available_cpus() == 1
