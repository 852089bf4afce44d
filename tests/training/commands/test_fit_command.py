"""``recon-train fit``: which run its options begin, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import tensorflow as tf

from smlm_training.cli import app
from smlm_training.commands.watch import Watch
from smlm_training.fitting import fit as training
from smlm_training.fitting.fit import Progress
from smlm_training.fitting.recipes import PRESETS, Recipe
from smlm_training.fitting.runs import Start
from smlm_training.fitting.sources import FilmFiles

pytestmark = pytest.mark.training


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fit", *arguments])


def _progress(step: int, steps: int) -> Progress:
    return Progress(
        step=step,
        steps=steps,
        loss=123.456,
        count_loss=1.0,
        validation_loss=130.0,
        learning_rate=1e-3,
        trained_s=20.0,
        waited_s=0.5,
        steps_per_s=2.5,
        wait_share=0.025,
        seconds_left=120.0,
    )


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ``fit`` is called with; it reports one checkpoint."""
    calls: list[dict[str, Any]] = []

    def begin(
        recipe: Recipe,
        folder: Path,
        *,
        report: Callable[[Progress], None],
        tick: Callable[[int, float], None],
        **more: Any,
    ) -> None:
        assert callable(more.pop("say"))
        calls.append({"recipe": recipe, "folder": folder, **more})
        tick(50, 123.456)
        report(_progress(50, recipe.steps))

    monkeypatch.setattr(training, "fit", begin)
    return calls


def test_fit_tells_of_checkpoints_and_of_the_wait(begun: list[Any], tmp_path: Path) -> None:
    result = _invoke(str(tmp_path), "--steps", "1000", "--seed", "9")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "step 50 of 1,000  loss 123.46  validation 130.00  2.50 steps/s  2 min left\n"
        "waited 2.5% of the time for data\n"
        f"{tmp_path}: unet has been trained for 1,000 steps; "
        f"recon-train publish {tmp_path} puts it into a model repository\n"
    )
    assert begun == [
        {
            "recipe": replace(Recipe().shortened(1000), seed=9),
            "folder": tmp_path,
            "start": None,
            "film": None,
            "resume": True,
            "strategy": tf.distribute.get_strategy(),
            "command": "recon-train fit FOLDER --steps 1000 --seed 9",
        }
    ]


def test_fit_takes_a_preset_its_film_and_a_start(
    begun: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start([], {})
    starts = {tmp_path / "b": start}
    monkeypatch.setattr("smlm_training.delivery.start.start_from", starts.__getitem__)
    film = ["--stack", str(tmp_path / "a.tif"), "--positions", str(tmp_path / "a.csv")]
    options = ["--preset", "seed", *film, "--start", str(tmp_path / "b")]
    result = _invoke(str(tmp_path / "run"), *options, "--no-resume", "--strategy", "none")
    assert result.exit_code == 0, result.output
    assert begun[0] == {
        "recipe": PRESETS["seed"],
        "folder": tmp_path / "run",
        "start": start,
        "film": FilmFiles(tmp_path / "a.tif", tmp_path / "a.csv"),
        "resume": False,
        "strategy": None,
        "command": "recon-train fit FOLDER --preset seed --stack STACK "
        "--positions POSITIONS --start START --no-resume --strategy none",
    }


def test_fit_takes_a_preset_file(begun: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"batch": 4, "measured_from": "a film"}')
    result = _invoke(str(tmp_path), "--preset", str(path))
    assert result.exit_code == 0, result.output
    assert begun[0]["recipe"] == replace(Recipe(), batch=4)
    assert begun[0]["command"] == "recon-train fit FOLDER --preset FILE"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["run", "--preset", "best"], "preset is 'best'; expected one of default, finish"),
        (["run", "--stack", "a.tif"], "only one of --stack and --positions is given; expected"),
        ([], "there is no folder; expected one for the run's files"),
    ],
)
def test_fit_refuses_options_that_make_no_run(
    begun: list[Any], options: list[str], message: str
) -> None:
    result = _invoke(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert begun == []


def test_fit_shows_a_preset(begun: list[Any]) -> None:
    result = _invoke("--preset", "finish", "--seed", "5", "--print-preset")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["seed"], shown["steps"]) == (5, 20_000)
    assert shown["ranges"]["photons_spread"] == [0.1, 0.4]
    assert begun == []


def test_fit_tells_that_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupt)
    result = _invoke(str(tmp_path))
    assert result.exit_code == 130
    assert "the same command continues from the last checkpoint" in result.stderr


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Watch(100) as watch:
        watch.tick(40, 12.25)
        watch.report(_progress(40, 100))
        watch.tick(41, 12.5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "step 40 of 100  loss 123.46" in shown.err
    assert "41/100" in shown.err
    assert "loss 12.50" in shown.err
    assert "waited 2.5% of the time for data" in shown.err
