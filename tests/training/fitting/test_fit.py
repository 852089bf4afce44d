"""Training runs: interrupted ones end where unbroken ones do, and say what they did."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras
import tensorflow as tf

import smlm_pipeline
from fakes.short_runs import RECIPE, InterruptionError, interrupt_at, shallow_network
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.fit import Progress, fit
from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.runs import append_history, drop_history_after, start_from_run
from smlm_training.fitting.trainer import Trainer
from smlm_training.networks import NETWORKS
from smlm_training.networks.unet import unet
from smlm_training.networks.unet_map import unet_map

pytestmark = pytest.mark.training


@dataclass(frozen=True)
class _Done:
    folder: Path
    weights: list[NDArray[Any]]
    reports: list[Progress]
    precisions: list[str]
    threads_left: list[str]


def _run(folder: Path, recipe: Recipe = RECIPE) -> _Done:
    reports, precisions = [], []
    before = threading.enumerate()

    def report(progress: Progress) -> None:
        reports.append(progress)
        precisions.append(keras.mixed_precision.dtype_policy().name)

    model = fit(recipe, folder, command="recon-train fit FOLDER", report=report)
    left = [each.name for each in threading.enumerate() if each not in before]
    return _Done(folder, model.get_weights(), reports, precisions, left)


@pytest.fixture(scope="module", autouse=True)
def _shallow_network() -> Iterator[None]:
    with shallow_network():
        yield


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> _Done:
    return _run(tmp_path_factory.mktemp("unbroken"))


def _assert_same_weights(weights: list[NDArray[Any]], others: list[NDArray[Any]]) -> None:
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, other)


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_its_files(unbroken: _Done) -> None:
    names = sorted(path.name for path in unbroken.folder.iterdir())
    assert names == ["history.csv", "manifest.json", "network.keras", "state.npz", "tensorboard"]


def test_the_manifest_states_recipe_and_versions(unbroken: _Done) -> None:
    manifest = json.loads((unbroken.folder / "manifest.json").read_text())
    assert manifest["recipe"] == json.loads(json.dumps(asdict(RECIPE)))
    assert manifest["recipe"]["ranges"]["patch_px"] == 16
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["versions"]["smlm-recon"] == smlm_pipeline.__version__
    assert set(manifest["versions"]) == {"python", "tensorflow", "keras", "numpy", "smlm-recon"}
    assert manifest["command"] == "recon-train fit FOLDER"
    assert manifest["devices"] == "1 x CPU"
    assert str(unbroken.folder) not in json.dumps(manifest)


def test_the_history_has_a_row_for_each_checkpoint(unbroken: _Done) -> None:
    rows = _history(unbroken.folder)
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    assert [report.step for report in unbroken.reports] == [4, 8, 12]
    for row, report in zip(rows, unbroken.reports, strict=True):
        assert float(row["loss"]) == report.loss
        assert np.isfinite([report.loss, report.count_loss, report.validation_loss]).all()
        assert report.steps == RECIPE.steps
        assert 0 < report.waited_s < report.trained_s
        assert report.wait_share == report.waited_s / report.trained_s == float(row["wait_share"])
    assert unbroken.reports[-1].seconds_left == 0


def test_precision_changes_for_the_last_steps(unbroken: _Done) -> None:
    assert unbroken.precisions == ["mixed_bfloat16", "mixed_bfloat16", "float32"]
    trained = keras.saving.load_model(unbroken.folder / "network.keras")
    assert {layer.compute_dtype for layer in trained.layers} == {"float32"}
    _assert_same_weights(trained.get_weights(), unbroken.weights)


def test_training_changes_every_weight(unbroken: _Done) -> None:
    keras.utils.set_random_seed(RECIPE.seed)
    fresh = NETWORKS[RECIPE.network]().get_weights()
    for weight, start in zip(unbroken.weights, fresh, strict=True):
        assert np.isfinite(weight).all()
        assert (weight != start).any()


@pytest.mark.parametrize("step", [6, 9], ids=["in bfloat16", "in float32"])
def test_an_interrupted_run_ends_where_an_unbroken_one_does(
    unbroken: _Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Bit for bit: weights, optimiser and films go on from the last checkpoint."""
    with monkeypatch.context() as patched:
        interrupt_at(patched, step)
        with pytest.raises(InterruptionError, match=r"^$"):
            _run(tmp_path)
    assert not (tmp_path / "network.keras").exists()
    begun = json.loads((tmp_path / "manifest.json").read_text())
    resumed = _run(tmp_path)
    done = step // RECIPE.epoch_steps
    assert [report.step for report in resumed.reports] == [4, 8, 12][done:]
    assert [(report.loss, report.validation_loss) for report in resumed.reports] == [
        (report.loss, report.validation_loss) for report in unbroken.reports[done:]
    ]
    assert [int(row["step"]) for row in _history(tmp_path)] == [4, 8, 12]
    _assert_same_weights(resumed.weights, unbroken.weights)
    with np.load(tmp_path / "state.npz") as state, np.load(unbroken.folder / "state.npz") as other:
        assert state.files == other.files
        _assert_same_weights([state[name] for name in state], [other[name] for name in other])
    going_on = {name: begun[name] for name in ("command", "devices", "versions")}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest == {**begun, "resumed": [{"step": done * RECIPE.epoch_steps, **going_on}]}


def test_a_finished_run_is_not_trained_again(unbroken: _Done, monkeypatch: Any) -> None:
    interrupt_at(monkeypatch, RECIPE.steps)
    manifest = (unbroken.folder / "manifest.json").read_bytes()
    again = _run(unbroken.folder)
    assert again.reports == []
    assert (unbroken.folder / "manifest.json").read_bytes() == manifest
    _assert_same_weights(again.weights, unbroken.weights)


def test_a_run_does_not_go_on_by_another_recipe(unbroken: _Done) -> None:
    manifest = (unbroken.folder / "manifest.json").read_bytes()
    other = replace(RECIPE, seed=4, learning_rate=2e-3)
    other = replace(other, ranges=replace(RECIPE.ranges, patch_px=20))
    changed = r"another recipe \(learning_rate, ranges.patch_px, seed\).*another folder"
    with pytest.raises(SettingError, match=changed):
        fit(other, unbroken.folder)
    assert (unbroken.folder / "manifest.json").read_bytes() == manifest


def test_a_run_is_resumed_only_if_wanted(unbroken: _Done) -> None:
    with pytest.raises(SettingError, match="a run at step 12; expected a folder without a run"):
        fit(RECIPE, unbroken.folder, resume=False)


def test_tensorboard_gets_a_point_for_each_checkpoint(unbroken: _Done) -> None:
    points: dict[str, list[tuple[int, float]]] = {}
    for file in (unbroken.folder / "tensorboard").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                point = event.step, float(tf.make_ndarray(value.tensor))
                points.setdefault(value.tag, []).append(point)
    assert set(points) >= {"loss", "count_loss", "learning_rate", "steps_per_s", "wait_share"}
    assert [step for step, _ in points["loss"]] == [4, 8, 12]
    losses = [report.loss for report in unbroken.reports]
    assert [loss for _, loss in points["loss"]] == pytest.approx(losses)


def test_every_step_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    reports: list[Progress] = []
    recipe = replace(RECIPE, steps=5)
    fit(recipe, tmp_path, report=reports.append, tick=lambda *step: told.append(step))
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    assert reports[0].loss == pytest.approx(np.mean([loss for _, loss in told[:4]]))


def test_the_average_of_the_weights_is_what_a_run_ends_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """a_1 = w_1, a_t = 0.5 a_(t-1) + 0.5 w_t."""
    train, weights = Trainer.train, []

    def remember(trainer: Trainer, batch: Any) -> tuple[float, float]:
        losses = train(trainer, batch)
        weights.append(trainer._model.get_weights())
        return losses

    monkeypatch.setattr(Trainer, "train", remember)
    recipe = replace(RECIPE, steps=4, float32_steps=4, epoch_steps=2, average_decay=0.5)
    model = fit(recipe, tmp_path)
    average = weights[0]
    for later in weights[1:]:
        average = [0.5 * old + 0.5 * new for old, new in zip(average, later, strict=True)]
    for found, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    saved = keras.saving.load_model(tmp_path / "network.keras")
    _assert_same_weights(saved.get_weights(), model.get_weights())


def test_no_simulator_outlives_its_run(unbroken: _Done) -> None:
    assert unbroken.reports
    assert unbroken.threads_left == []


def test_a_run_starts_from_the_network_of_another(unbroken: _Done, tmp_path: Path) -> None:
    """A learning rate of nothing leaves the weights as they came."""
    further = replace(RECIPE, learning_rate=0.0, steps=4, float32_steps=4)
    model = fit(further, tmp_path, start=start_from_run(unbroken.folder))
    for found, expected in zip(model.get_weights(), unbroken.weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    begun = json.loads((unbroken.folder / "manifest.json").read_text())
    assert manifest["start"] == begun


def test_a_map_network_starts_from_the_trunk_of_detections(
    unbroken: _Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one convolution of the shallow trunk comes with its weights, the head begins anew."""
    monkeypatch.setitem(NETWORKS, "unet-map", partial(unet_map, (16,)))  # type: ignore[arg-type]
    further = replace(RECIPE, network="unet-map", learning_rate=0.0, steps=4, float32_steps=4)
    weights = fit(further, tmp_path, start=start_from_run(unbroken.folder)).get_weights()
    trunk = [weight.shape for weight in weights[:-2]]
    assert trunk == [weight.shape for weight in unbroken.weights[: len(trunk)]]
    _assert_same_weights(weights[:-2], unbroken.weights[: len(trunk)])


def test_a_start_that_begins_with_other_layers_is_refused(
    unbroken: _Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "unet", partial(unet, (32,)))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="begins with other layers; expected a run of the same"):
        fit(RECIPE, tmp_path, start=start_from_run(unbroken.folder))


def test_a_run_without_a_network_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected the folder of a finished 'recon-train fit'"):
        start_from_run(tmp_path)


def test_a_preset_that_goes_on_wants_a_start(tmp_path: Path) -> None:
    recipe = replace(RECIPE, start_required=True)
    with pytest.raises(SettingError, match=r"continues from a trained network.* --start unet"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_from_its_own_start_only(unbroken: _Done, tmp_path: Path) -> None:
    start = start_from_run(unbroken.folder)
    recipe = replace(RECIPE, steps=2, float32_steps=2)
    fit(recipe, tmp_path, start=start)
    fit(recipe, tmp_path, start=start)
    fit(recipe, tmp_path)
    other = replace(start, manifest={**start.manifest, "command": "another"})
    with pytest.raises(SettingError, match=r"a run by another recipe \(start\)"):
        fit(recipe, tmp_path, start=other)


def test_the_history_has_no_rows_of_steps_that_were_lost(tmp_path: Path) -> None:
    append_history(tmp_path, {"step": 4, "loss": 1.5})
    append_history(tmp_path, {"step": 8, "loss": 1.25})
    drop_history_after(tmp_path, 4)
    append_history(tmp_path, {"step": 8, "loss": 1.0})
    with (tmp_path / "history.csv").open(newline="") as stream:
        rows = [(row["step"], row["loss"]) for row in csv.DictReader(stream)]
    assert rows == [("4", "1.5"), ("8", "1.0")]
