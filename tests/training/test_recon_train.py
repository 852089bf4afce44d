"""The commands of ``recon-train`` that need no TensorFlow: what they write, say and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import typer
from PIL import Image
from typer.testing import CliRunner

from smlm_training import presets
from smlm_training.cli import app
from smlm_training.evaluate import truth_image
from smlm_training.positions import read_positions

FRAMES, SIZE_PX, ZOOM = 12, 24, 4


class _Case:
    """A simulated film with an image of it, and the arguments of ``evaluate``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = folder / "stack.tif"
        self.positions = folder / "positions.csv"
        self.image = folder / "image.tif"

    def evaluate(self, *more: str) -> Any:
        files = [str(self.image), "--stack", str(self.stack), "--positions", str(self.positions)]
        return _invoke("evaluate", *files, *more)


def _invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def _simulate(folder: Path, *more: str) -> Any:
    size = ["--frames", str(FRAMES), "--size-px", str(SIZE_PX)]
    return _invoke("simulate", str(folder), *size, *more)


@pytest.fixture
def case(tmp_path: Path) -> _Case:
    """The image is the truth with every emitter one fine pixel too far to the right."""
    case = _Case(tmp_path / "film")
    assert _simulate(case.folder).exit_code == 0
    positions = read_positions(case.positions)
    shape = (SIZE_PX * ZOOM, SIZE_PX * ZOOM)
    truth = truth_image(positions.y_nm, positions.x_nm, shape=shape, sr_pixel_size_nm=100 / ZOOM)
    tifffile.imwrite(case.image, np.roll(truth, 1, axis=1).astype(np.float32))
    return case


def _assert_refused(result: Any, exit_code: int, message: str) -> None:
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_simulate_writes_film_and_positions(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "film"
    result = _simulate(folder)
    assert result.exit_code == 0, result.output
    film = presets.preset_film(
        "microtubules", seed=1, frames=FRAMES, height_px=SIZE_PX, width_px=SIZE_PX
    )
    np.testing.assert_array_equal(tifffile.imread(folder / "stack.tif"), film.frames_adu)
    positions = read_positions(folder / "positions.csv")
    inside = film.emitters.inside(SIZE_PX, SIZE_PX)
    assert positions.frame.tolist() == np.nonzero(inside)[0].tolist()
    expected_nm = film.emitters.x_px[inside] * 100
    np.testing.assert_allclose(positions.x_nm, expected_nm, rtol=0, atol=1e-5)
    assert f"{FRAMES} frames with {inside.sum():,} emitters" in result.stdout


def test_simulated_film_states_its_pixel_size(tmp_path: Path) -> None:
    assert _simulate(tmp_path).exit_code == 0
    with tifffile.TiffFile(tmp_path / "stack.tif") as film:
        assert film.series[0].axes == "TYX"
        assert (film.imagej_metadata or {})["unit"] == "um"
        numerator, denominator = film.pages.first.tags["XResolution"].value
        assert denominator / numerator == pytest.approx(presets.PIXEL_SIZE_NM / 1000)


def test_simulate_takes_preset_and_seed(tmp_path: Path) -> None:
    films = []
    for name, seed in (("uniform-9", 1), ("uniform-9", 1), ("uniform-9", 2), ("uniform-1", 1)):
        assert _simulate(tmp_path, "--preset", name, "--seed", str(seed)).exit_code == 0
        films.append((tmp_path / "stack.tif").read_bytes())
    assert films[0] == films[1]
    assert len(set(films)) == 3


def test_simulate_refuses_an_unknown_preset(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    result = _simulate(folder, "--preset", "neurons")
    _assert_refused(result, 2, "preset is 'neurons'; expected one of microtubules, uniform-1")
    assert not folder.exists()


@pytest.mark.parametrize("option", [("--frames", "1"), ("--size-px", "8"), ("--seed", "-1")])
def test_simulate_refuses_numbers_out_of_range(tmp_path: Path, option: tuple[str, str]) -> None:
    result = _invoke("simulate", str(tmp_path / "film"), *option)
    assert result.exit_code == 2
    assert option[0].strip("-") in result.stderr
    assert not (tmp_path / "film").exists()


def test_simulate_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _assert_refused(_simulate(tmp_path / "file" / "film"), 7, "recon-train: ")


def test_evaluate_prints_scores_beside_the_wide_field(case: _Case) -> None:
    result = case.evaluate()
    assert result.exit_code == 0, result.output
    ours, camera, count = result.stdout.splitlines()
    assert ours.startswith("image       NMSE 1")  # near 200 % at blur 0: all pixels are off
    assert camera.startswith("wide field  NMSE ")
    for line in (ours, camera):
        assert line.endswith("% at blur 0 / 1 / 2 SR pixels (blank image: 100 %)")
    assert count.endswith("emitters (100.0%)")


def test_evaluate_as_json(case: _Case) -> None:
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert set(scores) == {"image", "wide field"}
    for each in scores.values():
        assert set(each) == {"nmse_percent", "psnr_db", "sum_ratio"}
        assert len(each["nmse_percent"]) == len(each["psnr_db"]) == 3
    sharp, *blurred = scores["image"]["nmse_percent"]
    assert sharp > 100 > blurred[0] > blurred[1]
    assert scores["image"]["sum_ratio"] == pytest.approx(1)


def test_evaluate_takes_the_pixel_size(case: _Case) -> None:
    table = case.positions.read_text().splitlines()
    rows = [[float(value) for value in row.split(",")] for row in table[1:]]
    doubled = [f"{row[0]:g},{row[1]:g},{2 * row[2]},{2 * row[3]},1,1,1,1" for row in rows]
    at_100_nm = case.evaluate("--json")
    case.positions.write_text("\n".join([table[0], *doubled]))
    at_200_nm = case.evaluate("--json", "--pixel-size-nm", "200")
    assert json.loads(at_200_nm.stdout) == json.loads(at_100_nm.stdout)


def test_evaluate_draws_the_figure(case: _Case) -> None:
    figure = case.folder / "comparison.png"
    result = case.evaluate("--figure", str(figure))
    assert result.exit_code == 0, result.output
    with Image.open(figure) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height  # three panels
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 100  # the map 'hot'


def test_evaluate_refuses_a_table_of_another_film(case: _Case) -> None:
    header, first, *_ = case.positions.read_text().splitlines()
    values = first.split(",")
    values[2] = "1e6"
    case.positions.write_text("\n".join([header, ",".join(values)]))
    figure = case.folder / "comparison.png"
    result = case.evaluate("--figure", str(figure))
    _assert_refused(result, 2, "does the table belong to the film?")
    assert not figure.exists()


@pytest.mark.parametrize("shape", [(SIZE_PX * ZOOM + 1, SIZE_PX * ZOOM), (96, 48), (12, 12)])
def test_evaluate_refuses_an_image_of_another_film(case: _Case, shape: tuple[int, int]) -> None:
    tifffile.imwrite(case.image, np.ones(shape, np.float32))
    _assert_refused(case.evaluate(), 2, "no whole multiple")


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("this is no table and no picture\n")


def _headless(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [_missing, _empty, _text, _headless, _truncated])
@pytest.mark.parametrize("file", ["stack", "image"])
def test_evaluate_refuses_files_that_are_no_pictures(
    case: _Case, file: str, spoil: Callable[[Path], None]
) -> None:
    path = getattr(case, file)
    spoil(path)
    _assert_refused(case.evaluate(), 3, str(path))


@pytest.mark.parametrize("spoil", [_missing, _empty, _text])
def test_evaluate_refuses_files_that_are_no_tables(
    case: _Case, spoil: Callable[[Path], None]
) -> None:
    spoil(case.positions)
    _assert_refused(case.evaluate(), 3, "is not a ThunderSTORM table")


def test_evaluate_refuses_a_film_of_one_frame(case: _Case) -> None:
    tifffile.imwrite(case.stack, np.ones((SIZE_PX, SIZE_PX), np.uint16))
    _assert_refused(case.evaluate(), 3, "expected a film of 8- or 16-bit unsigned frames")


def test_evaluate_refuses_a_film_of_floats(case: _Case) -> None:
    tifffile.imwrite(case.stack, np.ones((5, SIZE_PX, SIZE_PX), np.float32))
    _assert_refused(
        case.evaluate(), 3, "dtype float32; expected a film of 8- or 16-bit unsigned frames"
    )


def test_interruption_has_its_exit_code(case: _Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smlm_training.commands.evaluate.score", interrupt)
    _assert_refused(case.evaluate(), 130, "interrupted")


def test_every_option_has_help() -> None:
    command: Any = typer.main.get_command(app)
    assert set(command.commands) == {"simulate", "evaluate", "fit", "export"}
    for each in command.commands.values():
        assert each.help
        for parameter in each.params:
            assert getattr(parameter, "help", None), f"{each.name} {parameter.name}"


def test_help_loads_no_tensorflow() -> None:
    code = (
        "import sys, smlm_training.cli; "
        "print(*{'tensorflow', 'keras', 'onnxruntime'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
