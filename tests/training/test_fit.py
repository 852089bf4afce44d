"""Training runs: interrupted ones end where unbroken ones do, and say what they did."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras

from smlm_pipeline.errors import SettingError
from smlm_training import fit as training
from smlm_training.cli import app
from smlm_training.datasets import Ranges, batches
from smlm_training.fit import Progress, Recipe, fit
from smlm_training.networks import NETWORKS

pytestmark = pytest.mark.training

RECIPE = Recipe(
    seed=3,
    batch=2,
    steps=12,
    float32_steps=4,
    warmup_steps=2,
    ranges=Ranges(patch_px=16, frames_per_film=4, emitters_max=60),
)
CHECKPOINT_STEPS = 4


class _InterruptionError(Exception):
    """Stands for whatever ends a run: Ctrl-C, a reboot, a full disk."""


@dataclass(frozen=True)
class _Done:
    folder: Path
    weights: list[NDArray[Any]]
    reports: list[Progress]
    precisions: list[str]


@pytest.fixture(autouse=True)
def _own_precision() -> Iterator[None]:
    """Keras' precision is global; a run that is interrupted leaves its own behind."""
    yield
    keras.mixed_precision.set_dtype_policy("float32")


def _run(folder: Path, recipe: Recipe = RECIPE) -> _Done:
    reports, precisions = [], []

    def report(progress: Progress) -> None:
        reports.append(progress)
        precisions.append(keras.mixed_precision.dtype_policy().name)

    model = fit(recipe, folder, checkpoint_steps=CHECKPOINT_STEPS, report=report)
    return _Done(folder, model.get_weights(), reports, precisions)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> _Done:
    return _run(tmp_path_factory.mktemp("unbroken"))


def _assert_same_weights(weights: list[NDArray[Any]], others: list[NDArray[Any]]) -> None:
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, other)


def _interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    train = training._Run.train

    def until(run: Any, batch: Any) -> tuple[float, float]:
        if run.step == step:
            raise _InterruptionError
        return train(run, batch)

    monkeypatch.setattr(training._Run, "train", until)


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_its_files(unbroken: _Done) -> None:
    names = sorted(path.name for path in unbroken.folder.iterdir())
    assert names == ["history.csv", "manifest.json", "network.keras", "state.npz"]


def test_the_manifest_states_recipe_and_versions(unbroken: _Done) -> None:
    manifest = json.loads((unbroken.folder / "manifest.json").read_text())
    assert manifest["recipe"] == json.loads(json.dumps(asdict(RECIPE)))
    assert manifest["recipe"]["ranges"]["patch_px"] == 16
    assert manifest["versions"]["numpy"] == np.__version__
    assert set(manifest["versions"]) == {"python", "tensorflow", "keras", "numpy"}


def test_the_history_has_a_row_for_each_checkpoint(unbroken: _Done) -> None:
    rows = _history(unbroken.folder)
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    assert [report.step for report in unbroken.reports] == [4, 8, 12]
    for row, report in zip(rows, unbroken.reports, strict=True):
        assert float(row["loss"]) == report.loss
        assert np.isfinite([report.loss, report.count_loss]).all()
        assert report.steps == RECIPE.steps
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
        _interrupt_at(patched, step)
        with pytest.raises(_InterruptionError, match=r"^$"):
            _run(tmp_path)
    assert not (tmp_path / "network.keras").exists()
    resumed = _run(tmp_path)
    done = step // CHECKPOINT_STEPS
    assert [report.step for report in resumed.reports] == [4, 8, 12][done:]
    assert [report.loss for report in resumed.reports] == [
        report.loss for report in unbroken.reports[done:]
    ]
    assert [int(row["step"]) for row in _history(tmp_path)] == [4, 8, 12]
    _assert_same_weights(resumed.weights, unbroken.weights)
    with np.load(tmp_path / "state.npz") as state, np.load(unbroken.folder / "state.npz") as other:
        assert state.files == other.files
        _assert_same_weights([state[name] for name in state], [other[name] for name in other])


def test_an_interrupted_checkpoint_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savez, steps = np.savez, []

    def tear(path: Path, **values: Any) -> None:
        steps.append(values["step"])
        savez(path, **values)
        if len(steps) == 2:
            path.write_bytes(path.read_bytes()[:1000])
            raise _InterruptionError

    monkeypatch.setattr(np, "savez", tear)
    with pytest.raises(_InterruptionError, match=r"^$"):
        _run(tmp_path)
    assert steps == [4, 8]
    with np.load(tmp_path / "state.npz") as state:
        assert state["step"] == 4
        assert all(np.isfinite(state[name]).all() for name in state.files)


def test_a_finished_run_is_not_trained_again(unbroken: _Done, monkeypatch: Any) -> None:
    _interrupt_at(monkeypatch, RECIPE.steps)
    again = _run(unbroken.folder)
    assert again.reports == []
    _assert_same_weights(again.weights, unbroken.weights)


def test_a_run_does_not_go_on_by_another_recipe(unbroken: _Done) -> None:
    manifest = (unbroken.folder / "manifest.json").read_bytes()
    other = replace(RECIPE, seed=4, learning_rate=2e-3)
    with pytest.raises(SettingError, match=r"another recipe \(learning_rate, seed\).*another fol"):
        fit(other, unbroken.folder)
    assert (unbroken.folder / "manifest.json").read_bytes() == manifest


def test_an_error_of_the_simulator_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_batches(*arguments: Any, **settings: Any) -> Iterator[Any]:
        stream = batches(*arguments, **settings)
        yield from (next(stream), next(stream))
        raise MemoryError("no room for another film")

    monkeypatch.setattr(training, "batches", two_batches)
    with pytest.raises(MemoryError, match="no room for another film"):
        fit(RECIPE, tmp_path)
    assert not (tmp_path / "state.npz").exists()


def test_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    recipe = Recipe()
    schedule = training._schedule(recipe)
    half_way = (recipe.warmup_steps + recipe.steps) // 2
    steps = (0, recipe.warmup_steps // 2, recipe.warmup_steps, half_way, recipe.steps)
    rates = [float(schedule(step)) / recipe.learning_rate for step in steps]
    assert rates == pytest.approx([0.05, 0.525, 1, 0.505, 0.01], rel=1e-3)


def test_fit_command_shortens_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Recipe] = []

    def begin(
        recipe: Recipe,
        folder: Path,
        *,
        start: Path | None,
        report: Callable[[Progress], None],
    ) -> None:
        assert (folder, start) == (tmp_path, None)
        begun.append(recipe)
        report(Progress(50, recipe.steps, 123.456, 1.0, 120.0))

    monkeypatch.setattr(training, "fit", begin)
    result = CliRunner().invoke(app, ["fit", str(tmp_path), "--steps", "1000", "--seed", "9"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "step 50 of 1,000  loss 123.46  2 min left\n"
    assert CliRunner().invoke(app, ["fit", str(tmp_path)]).exit_code == 0
    share = Recipe().float32_steps / Recipe().steps
    shorter = replace(Recipe(), steps=1000, float32_steps=round(1000 * share), seed=9)
    assert begun == [shorter, Recipe()]


def test_fit_command_tells_that_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupt)
    result = CliRunner().invoke(app, ["fit", str(tmp_path)])
    assert result.exit_code == 130
    assert "'fit' on the same folder goes on" in result.stderr


def test_fit_command_refuses_a_folder_of_another_recipe(unbroken: _Done) -> None:
    result = CliRunner().invoke(app, ["fit", str(unbroken.folder)])
    assert result.exit_code == 2
    assert "another recipe (batch, float32_steps, ranges, seed, steps, warm" in result.stderr


def test_no_simulator_outlives_its_run(unbroken: _Done) -> None:
    assert unbroken.reports
    assert not [each.name for each in threading.enumerate() if "simulator" in each.name]


def test_a_run_starts_from_the_network_of_another(unbroken: _Done, tmp_path: Path) -> None:
    """A learning rate of nothing leaves the weights as they came."""
    further = replace(RECIPE, learning_rate=0.0, steps=4, float32_steps=4)
    model = fit(further, tmp_path, start=unbroken.folder, checkpoint_steps=CHECKPOINT_STEPS)
    for found, expected in zip(model.get_weights(), unbroken.weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    begun = json.loads((unbroken.folder / "manifest.json").read_text())
    assert manifest["start"] == begun


def test_a_start_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="expected the folder of a finished 'recon-train fit'"):
        fit(RECIPE, tmp_path / "run", start=tmp_path)


def test_fit_command_knows_its_recipes(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fit", str(tmp_path), "--recipe", "best"])
    assert result.exit_code == 2
    assert "recipe is 'best'; expected one of default, finish" in result.stderr
