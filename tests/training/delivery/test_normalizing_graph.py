"""The normalisation in a network's graph: the bits of `normalize`, in the contract's tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

import onnx
import onnxruntime

from fakes.networks import DETECTIONS, parsed
from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import NORMALIZED_MAX, normalize
from smlm_pipeline.errors import ContractError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_file
from smlm_training.delivery.normalizing_graph import (
    PREFIX,
    with_normalization,
    without_normalization,
)
from smlm_training.delivery.request_graph import without_request
from smlm_training.simulation.presets import preset_film

EVERY_VALUE = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)

LEVELS_ADU = {
    "of a film": (144.91, 291.37),
    "nothing and one": (0, 1),
    "a negative background": (-100.5, 3.3),
    "a tiny scale": (60_000.25, 1e-3),
    "a huge scale": (140.7, 1e38),
    "the smallest numbers": (1e-30, 1e-38),
    "a subnormal scale": (100, 1e-45),
    "the largest pixel": (65_535, 65_535),
    "a background beyond all pixels": (3e38, 3e38),
    "a background far below": (-3e38, 1),
}


def _bytes(frames_adu: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return frames_adu.astype("<u2").view(np.uint8).reshape(*frames_adu.shape, 2)


def _network(graph: str = DETECTIONS) -> onnx.ModelProto:
    """A network of one layer that normalises; its number is another matter."""
    return without_request(parsed(graph))


def _run(
    network: onnx.ModelProto, name: str, inputs: dict[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """One tensor of a network, which may be an inner one."""
    spied = onnx.ModelProto()
    spied.CopyFrom(network)
    inner = [tensor for tensor in spied.graph.value_info if tensor.name == name]
    spied.graph.output.extend(inner)
    session = onnxruntime.InferenceSession(
        spied.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run([name], inputs)
    tensor: NDArray[np.float32] = found
    return tensor


def _normalized(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    inputs: dict[str, NDArray[Any]] = {"FRAMES": _bytes(frames_adu), "LEVELS": levels_adu}
    return _run(_network(), contract.NORMALIZED.name, inputs)


def _expected(
    frames_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Some levels are such that values overflow, which is no matter."""
    with np.errstate(over="ignore"):
        return normalize(frames_adu, levels_adu)


def _same_bits(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("levels_adu", LEVELS_ADU.values(), ids=LEVELS_ADU)
def test_every_pixel_value_has_the_bits_of_normalize(levels_adu: tuple[float, float]) -> None:
    levels = np.array([levels_adu], np.float32)
    assert _same_bits(_normalized(EVERY_VALUE[None], levels), _expected(EVERY_VALUE[None], levels))


def test_random_levels_have_the_bits_of_normalize() -> None:
    """Scales from a hundredth of an ADU to a hundred thousand; each frame has its own."""
    rng = np.random.default_rng(1)
    for _ in range(4):
        backgrounds, scales = rng.uniform(-1000, 66_000, 32), 10 ** rng.uniform(-2, 5, 32)
        levels = np.stack([backgrounds, scales], axis=1).astype(np.float32)
        frames = np.repeat(EVERY_VALUE[None], len(levels), axis=0)
        expected = _expected(frames, levels)
        assert _same_bits(_normalized(frames, levels), expected)
        assert expected.max() == NORMALIZED_MAX


def test_rows_columns_and_frames_keep_their_places() -> None:
    frames = np.random.default_rng(2).integers(0, 1 << 16, (3, 20, 36)).astype(np.uint16)
    levels = np.array([[100, 30_000], [0, 5000], [65_000, 200]], np.float32)
    assert _same_bits(_normalized(frames, levels), _expected(frames, levels))


def test_openvino_reads_the_whole_graph() -> None:
    """It multiplies by 1 / scale, which may cost the last bit: so our engine cuts the graph."""
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    levels = np.array([[144.91, 291.37], [-50, 4000], [60_000, 700.3]], np.float32)
    frames = np.repeat(EVERY_VALUE[None], len(levels), axis=0)
    core = openvino.Core()
    model = core.read_model(_network().SerializeToString())
    model.add_outputs(contract.NORMALIZED.name)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"FRAMES": _bytes(frames), "LEVELS": levels})[contract.NORMALIZED.name]
    np.testing.assert_array_max_ulp(found, _expected(frames, levels), maxulp=2)


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_a_network_that_ships_answers_as_its_part_from_normalized_on(
    name: str, model_repository: Path
) -> None:
    """The part is the network as it was trained and scored; both answers have the same bits."""
    network = without_request(onnx.load(network_file(model_repository, name)))
    answer = contract.ensemble_of(name).answer.name
    film = preset_film("evaluate", seed=5, frames=3, height_px=48, width_px=40)
    frames, levels = prepared(film.frames_adu)
    for raised_adu in (0, 60_000):
        frames_adu = frames + np.uint16(raised_adu)
        levels_adu = levels + np.array([raised_adu, 0], np.float32)
        whole = _run(network, answer, {"FRAMES": _bytes(frames_adu), "LEVELS": levels_adu})
        normalized = {"NORMALIZED": normalize(frames_adu, levels_adu)}
        assert _same_bits(whole, _run(without_normalization(network), answer, normalized))


def test_the_tensors_are_the_contracts() -> None:
    network = _network()
    onnx.checker.check_model(network, full_check=True)
    kinds = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}
    for tensor, spec in zip(
        (*network.graph.input, *network.graph.value_info),
        (contract.FRAMES, contract.LEVELS, contract.NORMALIZED),
        strict=True,
    ):
        assert tensor.name == spec.name
        assert tensor.type.tensor_type.elem_type == kinds[spec.dtype]
        axes = tensor.type.tensor_type.shape.dim
        assert tuple(axis.dim_value if not axis.dim_param else -1 for axis in axes) == spec.dims


def test_a_cast_alone_reads_the_bytes() -> None:
    """TensorRT takes no other reader of a uint8 input."""
    readers = [node for node in _network().graph.node if "FRAMES" in node.input]
    assert [node.op_type for node in readers] == ["Cast"]


def test_every_name_says_that_it_normalises() -> None:
    graph = _network().graph
    added = [node for node in graph.node if node.name.startswith(PREFIX)]
    assert contract.NORMALIZED.name in added[-1].output
    assert len({node.name for node in graph.node}) == len(graph.node)
    inner = {name for node in added for name in (*node.input, *node.output)}
    assert {name for name in inner if not name.startswith(PREFIX)} == {
        *("FRAMES", "LEVELS", "NORMALIZED")
    }


def test_without_its_normalisation_the_network_is_what_it_was() -> None:
    network = without_normalization(_network())
    assert [tensor.name for tensor in network.graph.input] == ["NORMALIZED"]
    assert [node.op_type for node in network.graph.node] == ["Conv"]
    assert without_normalization(with_normalization(network)) == network


def test_what_normalises_already_is_refused() -> None:
    with pytest.raises(ContractError, match="reads FRAMES, LEVELS; expected NORMALIZED alone"):
        with_normalization(_network())


def test_what_does_not_normalise_has_nothing_to_cut() -> None:
    network = parsed(DETECTIONS.replace("NORMALIZED", "frames"))
    with pytest.raises(ContractError, match=r"no inner tensor NORMALIZED; .* export the run again"):
        without_normalization(network)
