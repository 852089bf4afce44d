"""A network in FP16: what stays FP32, what it costs, and that it is not published in silence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

import onnx

from fakes.networks import CLASS_BORDERS_PX, write_card, write_network
from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.reference import read_reference
from smlm_pipeline.errors import ContractError, SettingError
from smlm_pipeline.model_repository import network_file
from smlm_training.cli import app
from smlm_training.delivery import half_card
from smlm_training.delivery.card import SCORES
from smlm_training.delivery.half_card import halve_network
from smlm_training.delivery.half_precision import halved, sensitive_nodes
from smlm_training.delivery.normalizing_graph import PREFIX, without_normalization
from smlm_training.delivery.publish import publish
from smlm_training.delivery.reference import precision_of
from smlm_training.delivery.request_graph import without_request

FLOAT, FLOAT16, UINT8 = (
    *(onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16),
    onnx.TensorProto.UINT8,
)

TWO_LAYERS = """
(float[N,1,H,W] NORMALIZED) => (float[N,7,H,W] DETECTIONS)
<float[3,1,1,1] inner = {1.001, 2, 3},
 float[7,3,1,1] last = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1.0001,
                        1, 2, 3, 4, 5, 6}>
{ features = Conv(NORMALIZED, inner) kept = Relu(features)
  found = Conv(kept, last) DETECTIONS = Sigmoid(found) }
"""

WHOLE = {"film": {"nmse_percent_at_blur_0_1_2_px": [25.0, 5.0, 1.5], "jaccard": 0.75}}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    card = {SCORES: WHOLE, "robustness": ["of FP32"], "note": "FP32", "warnings": ["dim films"]}
    return write_network(tmp_path / "exported", TWO_LAYERS, **card)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Those of the FP16 network, which would take minutes."""
    found = {"film": {"nmse_percent_at_blur_0_1_2_px": [25.01, 5.0, 1.49], "jaccard": 0.74}}
    monkeypatch.setattr(half_card, "held_out_scores", lambda _: found)
    return found


def _kinds(model: onnx.ModelProto) -> dict[str, int]:
    """Type of every tensor: constants and what nodes give."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    tensors = (*inferred.value_info, *inferred.output, *inferred.input)
    kinds = {each.name: each.type.tensor_type.elem_type for each in tensors}
    return kinds | {each.name: each.data_type for each in model.graph.initializer}


# --- the network ----------------------------------------------------------------------------


def test_inside_is_half_and_the_ends_are_whole(network: Path) -> None:
    found = halved(onnx.load(network))
    kinds = _kinds(found)
    before = [node for node in found.graph.node if node.name.startswith(PREFIX)]
    inside = list(found.graph.node)[len(before) :]
    by_kind = {node.op_type: [kinds[name] for name in node.output] for node in inside}
    assert (kinds["FRAMES"], kinds["LEVELS"], kinds["DETECTIONS"]) == (UINT8, FLOAT, FLOAT)
    assert {kinds[name] for node in before for name in node.output} == {FLOAT}
    assert (kinds["inner"], kinds["last"]) == (FLOAT16, FLOAT)
    assert (by_kind["Relu"], by_kind["Sigmoid"]) == ([FLOAT16], [FLOAT])
    assert [node.op_type for node in inside] == [
        *("Cast", "Conv", "Relu", "Cast", "Conv", "Sigmoid", "Identity")
    ]


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_half_precision_takes_nothing_from_a_bright_background(
    name: str, model_repository: Path
) -> None:
    """At 60000 ADU, where FP16 counts in steps of 32: the same bits as without."""
    found = halved(onnx.load(network_file(model_repository, name)))
    network = OnnxNetwork(file_in(found, name), intra_op_threads=1)
    frames_adu = np.random.default_rng(1).integers(100, 800, (2, 32, 28)).astype(np.uint16)
    levels_adu = np.array([[140, 170], [145, 291]], np.float32)
    expected = network.detect(frames_adu, levels_adu)
    raised = network.detect(
        frames_adu + np.uint16(60_000), levels_adu + np.array([60_000, 0], np.float32)
    )
    np.testing.assert_array_equal(raised, expected)
    assert expected.std() > 0


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_the_networks_that_ship_can_be_halved(name: str, model_repository: Path) -> None:
    """Casts of the frames and of what the last layer reads alone; rounding alone moves answers."""
    file = network_file(model_repository, name)
    if precision_of(file.read_bytes()) == "fp16":
        pytest.skip("it ships in FP16")
    whole = onnx.load(file)
    found = halved(whole)
    casts = [node.name for node in found.graph.node if node.op_type == "Cast"]
    assert len([cast for cast in casts if not cast.startswith(PREFIX)]) == 2
    kinds, outputs = _kinds(found), {each.name: each.output[0] for each in found.graph.node}
    sensitive = sensitive_nodes(without_normalization(without_request(whole)).graph)
    assert {kinds[outputs[node]] for node in sensitive} == {FLOAT}
    halves = [name for name, kind in kinds.items() if kind == FLOAT16]
    assert len(halves) > len(kinds) / 2
    reference = read_reference(file, contract.NETWORKS[name])
    path = file_in(found, name)
    largest = np.abs(reference.answers).max(axis=(0, 2, 3), keepdims=True)
    answers = OnnxNetwork(path, intra_op_threads=1).detect(
        reference.frames_adu, reference.levels_adu
    )
    assert 0 < (np.abs(answers - reference.answers) / largest).max() < 5e-3
    assert path.stat().st_size < 0.6 * file.stat().st_size


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def file_in(model: onnx.ModelProto, name: str) -> Path:
    path = Path(f"{name}.onnx")
    onnx.save(model, path)
    return path


def test_what_is_half_already_is_refused(network: Path) -> None:
    with pytest.raises(ContractError, match="inner is FP16 already; expected a network in FP32"):
        halved(halved(onnx.load(network)))


def test_a_weight_that_fp16_cannot_hold(tmp_path: Path) -> None:
    large = write_network(tmp_path, TWO_LAYERS.replace("1.001", "70000"))
    with pytest.raises(ContractError, match=r"inner holds 7e\+04; FP16 ends at 65504"):
        halved(onnx.load(large))


# --- its card -------------------------------------------------------------------------------


def test_the_card_has_both_scores(network: Path, scores: dict[str, Any], tmp_path: Path) -> None:
    before = network.read_bytes()
    done = halve_network(network, tmp_path / "half" / "model.onnx")
    card = json.loads((tmp_path / "half" / "model.json").read_text())
    assert card == done.card
    assert card["precision"] == "fp16"
    assert card["sha256"] == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert card[SCORES] == scores
    assert card["fp32"]["sha256"] == hashlib.sha256(before).hexdigest()
    assert card["fp32"][SCORES] == WHOLE
    assert (card["fp32"]["robustness"], "robustness" in card) == (["of FP32"], False)
    assert (card["fp32"]["note"], "note" in card) == ("FP32", False)
    assert card["class_borders_px"] == CLASS_BORDERS_PX
    assert card["warnings"] == ["dim films"]
    assert network.read_bytes() == before
    assert sorted(path.name for path in done.path.parent.iterdir()) == [
        *("model.json", "model.onnx", "reference.npz"),
    ]
    assert read_reference(done.path, contract.UNET).precision == "fp16"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_worse_picture_is_refused(
    place: int, network: Path, scores: dict[str, Any], tmp_path: Path
) -> None:
    values = scores["film"]["nmse_percent_at_blur_0_1_2_px"]
    values[place] = 1.1 * WHOLE["film"]["nmse_percent_at_blur_0_1_2_px"][place]  # type: ignore[index]
    output = tmp_path / "half" / "model.onnx"
    with pytest.raises(ContractError, match=r"the NMSE of film grows from .* at most 2 % more"):
        halve_network(network, output)
    assert list(output.parent.iterdir()) == []


def test_nothing_to_compare_with_is_refused(
    network: Path, scores: dict[str, Any], tmp_path: Path
) -> None:
    write_card(network, **{SCORES: {}})
    with pytest.raises(
        ContractError, match="states no NMSE to compare the FP16 network with; export the run again"
    ):
        halve_network(network, tmp_path / "half.onnx")


def test_a_film_that_this_release_does_not_score(
    network: Path, scores: dict[str, Any], tmp_path: Path
) -> None:
    write_card(network, **{SCORES: {**WHOLE, "of old": WHOLE["film"]}})
    with pytest.raises(
        ContractError, match=r"3 values of NMSE for the film of old, and .* measures 0"
    ):
        halve_network(network, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()


def test_the_network_itself_stays(network: Path, scores: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="is the network itself, which is kept"):
        halve_network(network, network.parent / ".." / "exported" / "model.onnx")


# --- publishing -----------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for file in ("reconstruction/config.pbtxt", "unet/config.pbtxt", "unet/1/model.py"):
        (tmp_path / "models" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / file).touch()
    return tmp_path / "models"


def test_it_is_published_with_its_scores(
    network: Path, scores: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    done = halve_network(network, tmp_path / "half" / "model.onnx")
    version = publish(done.path, repository).folder
    assert json.loads((version / "model.json").read_text())["fp32"][SCORES] == WHOLE
    assert read_reference(version / "model.onnx", contract.UNET).precision == "fp16"


@pytest.mark.parametrize("missing", ["fp32", SCORES])
def test_it_is_not_published_without_them(
    missing: str, network: Path, scores: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    done = halve_network(network, tmp_path / "half" / "model.onnx")
    card = done.path.with_name("model.json")
    told = json.loads(card.read_text())
    del told[missing]
    card.write_text(json.dumps(told))
    with pytest.raises(
        ContractError, match=r"does not state its NMSE beside .*'recon-train halve'"
    ):
        publish(done.path, repository)
    assert sorted(path.name for path in (repository / "unet").iterdir()) == ["1", "config.pbtxt"]


# --- commands -------------------------------------------------------------------------------


def _run(*arguments: Path | str) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "100"})


def test_command_shows_both(network: Path, scores: dict[str, Any], tmp_path: Path) -> None:
    result = _run("halve", network, "-o", tmp_path / "half.onnx")
    assert result.exit_code == 0, result.output
    assert "half.onnx: FP16 inside, 0.0 MB" in result.stdout
    assert "25.0 / 5.0 / 1.5" in result.stdout
    assert "in FP32" in result.stdout
    assert result.stdout.count("0.74") == result.stdout.count("0.75") == 1


def test_command_refuses_with_a_message(network: Path, tmp_path: Path) -> None:
    result = _run("halve", tmp_path / "nothing.onnx", "-o", tmp_path / "half.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected a network of 'recon-train export' with its card" in result.stderr


def test_reference_is_written_anew(network: Path, tmp_path: Path) -> None:
    result = _run("reference", network)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].endswith("reference.npz")
    assert read_reference(network, contract.UNET).precision == "fp32"
    result = _run("reference", tmp_path / "nothing.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "expected an exported network" in result.stderr


def test_no_reference_of_what_is_no_network(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("# No network\n")
    result = _run("reference", file)
    assert (result.exit_code, result.stdout) == (5, "")
    assert f"{file} is not a network that ONNX Runtime can read" in result.stderr
    assert [*tmp_path.iterdir()] == [file]
