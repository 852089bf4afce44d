"""OpenVINO against ONNX Runtime, and the choice between them."""

from __future__ import annotations

import json
import math
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from fakes.network_inputs import frames_and_levels
from smlm_pipeline import contract
from smlm_pipeline.compute import network_choice, openvino_network, processor
from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.openvino_network import OpenvinoNetwork
from smlm_pipeline.errors import ChunkError, ContractError, SettingError
from smlm_pipeline.model_repository import cpu_precision, network_file

SHAPES = [(16, 16), (20, 36), (64, 64), (100, 28), (132, 68), (256, 256), (512, 512)]


@pytest.fixture(scope="module")
def path(model_repository: Path) -> Path:
    return network_file(model_repository, contract.UNET.name)


@pytest.fixture(scope="module", params=["f32", "bf16"])
def network(request: pytest.FixtureRequest, path: Path) -> OpenvinoNetwork:
    """In bfloat16 also where the processor has none: then twice the same."""
    return OpenvinoNetwork(path, bf16=request.param == "bf16", threads=2)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_no_cutting_changes_a_bit(
    network: OpenvinoNetwork,
    monkeypatch: pytest.MonkeyPatch,
    height: int,
    width: int,
) -> None:
    """Chunks of 1, 2, 3, 8 and 32 frames, and runs of one frame, of two, and of all."""
    count = 32 if height * width < 150 * 150 else 3
    frames_adu, levels_adu = frames_and_levels(count, height, width)
    whole = network.detect(frames_adu, levels_adu)
    assert whole.dtype == np.float32
    for chunk in (1, 2, 3, 8):
        parts = [slice(first, first + chunk) for first in range(0, count, chunk)]
        cut = [network.detect(frames_adu[part], levels_adu[part]) for part in parts]
        np.testing.assert_array_equal(np.concatenate(cut), whole)
    for run in (1, 2, count):
        monkeypatch.setattr(openvino_network, "RUN_PIXELS", run * height * width)
        np.testing.assert_array_equal(network.detect(frames_adu, levels_adu), whole)


def test_threads_and_calls_at_once_change_no_bit(path: Path) -> None:
    frames = [frames_and_levels(count, 32, 48) for count in range(1, 9)]
    two, three = (OpenvinoNetwork(path, bf16=True, threads=threads) for threads in (2, 3))
    expected = [two.detect(*each) for each in frames]
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(three.detect, *zip(*frames, strict=True)))
    for each, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(each, other)


@pytest.mark.parametrize("name", ["unet", "unet_fast", "unet_map"])
def test_float32_is_the_reference_within_rounding(model_repository: Path, name: str) -> None:
    file = network_file(model_repository, name)
    network = open_network(file, precision="f32")
    reference = OnnxNetwork(file, intra_op_threads=0)
    assert (network.engine.name, network.engine.precision) == ("OpenVINO", "f32")
    assert (reference.engine.name, reference.engine.precision) == ("ONNX Runtime", "f32")
    assert network.answer == reference.answer
    frames = frames_and_levels(3, 40, 64)
    np.testing.assert_allclose(
        network.detect(*frames), reference.detect(*frames), rtol=1e-3, atol=3e-4
    )


def test_arrays_in_another_order_in_memory(network: OpenvinoNetwork) -> None:
    frames_adu, levels_adu = frames_and_levels(3, 20, 24)
    expected = network.detect(frames_adu, levels_adu)
    turned = np.asfortranarray(frames_adu), np.asfortranarray(levels_adu)
    np.testing.assert_array_equal(network.detect(*turned), expected)


@pytest.mark.parametrize("size", [(17, 16), (16, 18), (0, 16)])
def test_a_size_that_does_not_fit_is_refused(
    network: OpenvinoNetwork, size: tuple[int, int]
) -> None:
    with pytest.raises(ChunkError, match="expected some, with edges in multiples of 4: pad them"):
        network.detect(np.zeros((1, *size), np.uint16), np.ones((1, 2), np.float32))


@pytest.mark.parametrize("levels", [(math.nan, 1), (0, math.inf), (0, 0), (0, -1)])
def test_levels_that_cannot_be_divided_by_are_refused(
    network: OpenvinoNetwork, levels: tuple[float, float]
) -> None:
    frames_adu, levels_adu = frames_and_levels(3, 16, 16)
    levels_adu[1] = levels
    with pytest.raises(ChunkError, match="LEVELS must be finite with a positive scale"):
        network.detect(frames_adu, levels_adu)


def test_saturated_and_dark_pixels_are_normalised_as_in_the_reference(path: Path) -> None:
    """In float32, whatever precision the network behind has."""
    frames_adu, levels_adu = frames_and_levels(3, 32, 32)
    frames_adu[1, 8:12, 8:12], frames_adu[2] = 65535, 0
    found = OpenvinoNetwork(path, bf16=False, threads=2).detect(frames_adu, levels_adu)
    reference = OnnxNetwork(path, intra_op_threads=2).detect(frames_adu, levels_adu)
    np.testing.assert_allclose(found, reference, rtol=1e-3, atol=3e-4)


def test_a_network_without_the_inner_tensor_is_refused(path: Path, tmp_path: Path) -> None:
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["renamed" if name == "NORMALIZED" else name for name in names]
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ContractError, match="has no inner tensor NORMALIZED: train it with this"):
        open_network(tmp_path / "model.onnx")


def test_after_a_failure_no_answer_is_an_old_one(
    network: OpenvinoNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO's streams answer with old values after a size that does not fit."""
    frames = {size: frames_and_levels(5, size, size) for size in (16, 20, 32)}
    expected = {size: network.detect(*each) for size, each in frames.items()}
    monkeypatch.setattr(openvino_network, "check_tile", lambda *_: None)
    for size in (16, 20, 32):
        with pytest.raises(RuntimeError):
            network.detect(*frames_and_levels(4, 17, 18))
        np.testing.assert_array_equal(network.detect(*frames[size]), expected[size])


def test_a_call_beside_one_that_fails_fails_too(
    network: OpenvinoNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OpenvinoNetwork._run

    def beside(self: Any, idle: Any, *arrays: NDArray[Any]) -> None:
        run(self, idle, *arrays)
        with pytest.raises(RuntimeError):
            run(self, idle, *frames_and_levels(1, 17, 18), arrays[2])

    monkeypatch.setattr(OpenvinoNetwork, "_run", beside)
    with pytest.raises(RuntimeError, match="failed in another call"):
        network.detect(*frames_and_levels(1, 16, 16))


# --- the choice ------------------------------------------------------------------------------


def test_the_card_decides_where_nobody_asks(path: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.json"):
        shutil.copy(path.with_name(name), tmp_path / name)
    copy, card = tmp_path / "model.onnx", tmp_path / "model.json"
    assert cpu_precision(copy) == "bf16"
    stated = json.loads(card.read_text())
    others: list[Any] = [{**stated, "sha256": "0"}, {**stated, "cpu_precision": "f32"}, {}, []]
    for other in others:
        card.write_text(json.dumps(other))
        assert cpu_precision(copy) == "f32"
    card.write_text("{")
    assert cpu_precision(copy) == "f32"
    card.unlink()
    assert open_network(copy).engine.precision == "f32"


def test_bfloat16_where_the_processor_has_it(path: Path) -> None:
    engine = open_network(path).engine
    if processor.has_bf16():
        assert (engine.name, engine.precision, engine.note) == ("OpenVINO", "bf16", "")
    assert engine.processor
    assert str(engine).startswith(f"OpenVINO {engine.version}, ")


def test_float32_where_the_processor_has_no_bfloat16(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_network, "has_bf16", lambda: False)
    engine = open_network(path, precision="bf16").engine
    assert (engine.name, engine.precision) == ("OpenVINO", "f32")
    assert engine.note == openvino_network.NO_BF16
    assert open_network(path, precision="f32").engine.note == ""


def test_onnx_runtime_on_other_processors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    _is_reference(path, "OpenVINO is used on x86-64 only, this is arm64; ONNX Runtime computes")


def test_onnx_runtime_where_openvino_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "smlm_pipeline.compute.openvino_network", None)
    _is_reference(path, "OpenVINO is not installed (smlm-recon[local]); ONNX Runtime computes")


@pytest.mark.parametrize("error", [RuntimeError("no\nkernel"), OSError("no lib"), ImportError("x")])
def test_onnx_runtime_where_openvino_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", fail)
    told = " ".join(str(error).split())
    _is_reference(path, f"OpenVINO failed ({told}); ONNX Runtime computes the network, in float32")


def _is_reference(path: Path, note: str) -> None:
    network = open_network(path, precision="bf16")
    assert (network.engine.name, network.engine.precision) == ("ONNX Runtime", "f32")
    assert network.engine.note.startswith(note)
    frames = frames_and_levels(2, 16, 16)
    reference = OnnxNetwork(path, intra_op_threads=0)
    np.testing.assert_array_equal(network.detect(*frames), reference.detect(*frames))


def test_no_other_precision(path: Path) -> None:
    with pytest.raises(SettingError, match="precision is 'fp16'; expected bf16 or f32"):
        network_choice.open_network(path, precision="fp16")


def test_a_network_of_another_contract_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "ANSWERS", (contract.MAP_ANSWER,))
    with pytest.raises(ContractError, match=r"tensors are FRAMES .*, DETECTIONS"):
        open_network(path)


def test_what_an_engine_states_is_read_again(tmp_path: Path) -> None:
    engine = NetworkEngine("OpenVINO", "2026.4.1", "bf16", "a processor", "a note")
    engine.write(tmp_path / "unet.json")
    assert NetworkEngine.read(tmp_path / "unet.json") == engine
    assert NetworkEngine.read(tmp_path / "other.json") == NetworkEngine()
    assert str(NetworkEngine()) == "not stated"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512_bf16", True), ("amx_bf16 fpu", True), ("fpu avx512f", False), (None, True)],
)
def test_instructions_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool
) -> None:
    text = "" if flags is None else f"processor : 0\nmodel name : X 1\nflags\t\t: {flags}\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert processor.has_bf16() is expected
    assert flags is None or processor.processor_name() == "X 1"


SIGNAL_AFTER_TWO_NETWORKS = """
import gc, os, signal, sys, time
from pathlib import Path
from smlm_pipeline.compute.network_choice import open_network
first = open_network(Path(sys.argv[1]), precision="f32")
second = open_network(Path(sys.argv[1]), precision="f32")
for network in ("first", "second"):
    del globals()[network]
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(10)
"""


def test_a_signal_after_networks_have_been_closed(model_repository: Path) -> None:
    """OpenVINO changes the stack for signals; a core that ends must not leave a freed one."""
    file = network_file(model_repository, contract.UNET.name)
    command = [sys.executable, "-c", SIGNAL_AFTER_TWO_NETWORKS, str(file)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
