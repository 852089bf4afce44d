"""Training goes on from a published ONNX file as it does from the run that made it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install .[train]")

import keras

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError, SettingError
from smlm_training.cli import app
from smlm_training.delivery.export import export
from smlm_training.delivery.start import mean_of, start_from
from smlm_training.fitting.runs import Start
from smlm_training.networks import NETWORKS

pytestmark = pytest.mark.training

FRAMES_ADU = np.random.default_rng(1).normal(1000, 100, (2, 16, 24)).astype(np.uint16)
LEVELS_ADU = np.array([[1000, 100], [990, 110]], np.float32)


def _published(name: str, folder: Path) -> tuple[Path, list[Any]]:
    """An untrained network as a release has it, and its weights."""
    keras.utils.set_random_seed(3)
    model = NETWORKS[name]()
    rng = np.random.default_rng(4)
    for weight in model.weights:  # weights of nothing, all alike, would share a constant
        if not np.any(weight):
            weight.assign(weight + rng.uniform(0, 0.3, weight.shape))
    file = folder / "model.onnx"
    export(model, file, FRAMES_ADU, LEVELS_ADU)
    _write_card(name, file)
    return file, model.get_weights()


def _write_card(name: str, file: Path) -> None:
    card = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "contract_version": contract.CONTRACT_VERSION,
        "training": {"recipe": {"network": name}, "command": "recon-train fit"},
    }
    file.with_name("model.json").write_text(json.dumps(card))


@pytest.mark.parametrize("name", ["unet-fast", "unet-map"])
def test_every_weight_comes_back(name: str, tmp_path: Path) -> None:
    file, weights = _published(name, tmp_path)
    start = start_from(file)
    assert start.manifest["command"] == "recon-train fit"
    for found, expected in zip(start.weights, weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_folded_normalisation_cannot_be_unfolded(tmp_path: Path) -> None:
    file, _ = _published("fid-storm", tmp_path)
    with pytest.raises(SettingError, match=r"normalisation is folded.*start from the folder"):
        start_from(file)


def test_a_file_without_its_card_is_no_start(tmp_path: Path) -> None:
    file, _ = _published("unet-fast", tmp_path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(SettingError, match=r"with its card model\.json"):
        start_from(file)


def test_a_file_of_another_card_is_no_start(tmp_path: Path) -> None:
    file, _ = _published("unet-fast", tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(ContractError, match="not of one export"):
        start_from(file)


def test_fit_goes_on_from_what_is_served(tmp_path: Path) -> None:
    """A step at a learning rate of nothing keeps the weights, and the manifest says whose."""
    file, weights = _published("unet-fast", tmp_path)
    recipe = {
        "base": "fast",
        "steps": 1,
        "epoch_steps": 1,
        "float32_steps": 1,
        "warmup_steps": 0,
        "learning_rate": 0.0,
        "batch": 2,
        "ranges": {"patch_px": 16, "frames_per_film": 2, "emitters_max": 40},
    }
    (tmp_path / "mine.json").write_text(json.dumps(recipe))
    run, starts = tmp_path / "run", ["--start", str(file)] * 2
    words = ["fit", str(run), "--preset", str(tmp_path / "mine.json"), *starts]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    manifest = json.loads((run / "manifest.json").read_text())
    begun = {"recipe": {"network": "unet-fast"}, "command": "recon-train fit"}
    assert manifest["start"] == {**begun, "mean_with": [begun]}
    assert manifest["command"].endswith("--start START --start START")
    saved = keras.saving.load_model(run / "network.keras").get_weights()
    for found, expected in zip(saved, weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_several_starts_are_the_mean_of_their_weights() -> None:
    first = Start([np.array([1, 2], np.float32), np.array([[4]], np.float32)], {"command": "a"})
    second = Start([np.array([3, 6], np.float32), np.array([[0]], np.float32)], {"command": "b"})
    mean = mean_of([first, second])
    assert mean is not None
    assert [weight.tolist() for weight in mean.weights] == [[2, 4], [[2]]]
    assert {weight.dtype for weight in mean.weights} == {np.dtype(np.float32)}
    assert mean.manifest == {"command": "a", "mean_with": [{"command": "b"}]}
    assert mean_of([first]) is first
    assert mean_of([]) is None


def test_networks_of_two_kinds_have_no_mean() -> None:
    first, second = Start([np.zeros(2)], {}), Start([np.zeros(3)], {})
    with pytest.raises(SettingError, match="other layers; expected several runs of the same"):
        mean_of([first, second])
