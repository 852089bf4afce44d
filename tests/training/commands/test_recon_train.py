"""The commands of ``recon-train`` that need no TensorFlow: what they write, say and refuse."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile
import typer
from PIL import Image
from typer.testing import CliRunner

from fakes.format_films import WRITERS
from fakes.nd2_files import write_nd2
from smlm_pipeline.cli.json_output import SCHEMA_FILE
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.table_files import read_molecules
from smlm_training.cli import app
from smlm_training.scoring.evaluate import truth_image

FRAMES, SIZE_PX, ZOOM = 12, 24, 4
SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


class _Case:
    """A simulated film with an image of it, and the arguments of ``evaluate``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.film = folder / "stack.tif"
        self.positions = folder / "positions.csv"
        self.image = folder / "image.tif"

    def evaluate(self, *more: str) -> Any:
        files = [str(self.image), "--stack", str(self.film), "--positions", str(self.positions)]
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
    positions = read_molecules(case.positions)
    shape = (SIZE_PX * ZOOM, SIZE_PX * ZOOM)
    truth = truth_image(positions.y_nm, positions.x_nm, shape=shape, sr_pixel_size_nm=100 / ZOOM)
    tifffile.imwrite(case.image, np.roll(truth, 1, axis=1).astype(np.float32))
    return case


def _assert_refused(result: Any, exit_code: int, message: str) -> None:
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_evaluate_prints_scores_beside_blank_and_wide_field(case: _Case) -> None:
    result = case.evaluate("--no-detections")
    assert result.exit_code == 0, result.output
    title, names, *rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert title == "image against truth"
    assert names == "measure blur (SR px) image blank image wide field"
    assert len(rows) == 10
    sharp = re.fullmatch(r"NMSE, equal sum \(%\) 0 ([\d.]+) 100.0 [\d.]+", rows[0])
    fitted = re.fullmatch(r"NMSE, least squares \(%\) 0 ([\d.]+) 100.0 [\d.]+", rows[3])
    assert sharp is not None
    assert float(sharp[1]) > 150  # near 200 % at blur 0: all pixels are off
    assert fitted is not None
    assert float(fitted[1]) < 100
    assert rows[6].startswith("PSNR, equal sum (dB) 0 ")
    assert rows[9] == "sum / true emitters 100.0% 0.0% -"


def test_evaluate_scores_the_molecules_of_the_network(case: _Case) -> None:
    result = case.evaluate()
    assert result.exit_code == 0, result.output
    assert "localisations from probability 0.5 on, pairs within 250 nm" in result.stdout
    for name in ("Jaccard", "F1", "RMSE of the pairs", "RMS sigma (nm)", "probability"):
        assert f" {name} " in result.stdout
    assert "positions within a camera pixel: flat to " in result.stdout
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 80


def test_evaluate_as_json(case: _Case) -> None:
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    SCHEMA.validate(scores)
    found = scores.pop("detections")
    assert scores.pop("schema_version") == 1
    assert set(scores) == {"image", "blank image", "wide field"}
    for each in scores.values():
        assert set(each) == {"nmse_percent", "nmse_fitted_percent", "psnr_db", "sum_ratio"}
        assert {len(value) for value in each.values() if isinstance(value, list)} == {3}
    sharp, *blurred = scores["image"]["nmse_percent"]
    assert sharp > 100 > blurred[0] > blurred[1]
    assert scores["image"]["sum_ratio"] == pytest.approx(1)
    assert found["true"] == len(read_molecules(case.positions).frame)
    assert found["jaccard"] == pytest.approx(
        found["pairs"] / (found["found"] + found["true"] - found["pairs"])
    )
    assert found["jaccard"] > 0.5
    assert sum(each["errors"] for each in found["sigma"]["bins"]) == 2 * found["pairs"]
    assert sum(found["within_pixel"]["y_share"]) == pytest.approx(1)


def test_what_json_cannot_say_is_null(case: _Case) -> None:
    """A perfect image has an infinite PSNR."""
    pixels = np.roll(tifffile.imread(case.image), -1, axis=1)
    tifffile.imwrite(case.image, pixels)
    result = case.evaluate("--json", "--no-detections")
    scores = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
    assert scores["image"]["psnr_db"] == [None] * 3
    assert scores["image"]["nmse_percent"] == pytest.approx([0, 0, 0])
    assert scores["detections"] is None


def test_evaluate_as_table_for_spreadsheets(case: _Case) -> None:
    path = case.folder / "scores.csv"
    result = case.evaluate("-o", str(path), "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    with path.open(newline="") as stream:
        rows = {
            (row["of"], row["measure"], row["blur_px"]): row["value"]
            for row in csv.DictReader(stream)
        }
    assert float(rows["image", "nmse_percent", "1.0"]) == scores["image"]["nmse_percent"][1]
    assert float(rows["detections", "jaccard", ""]) == scores["detections"]["jaccard"]
    assert ("blank image", "sum_ratio", "") in rows


def test_threshold_tolerance_and_border_change_what_counts(case: _Case) -> None:
    loose, strict = (
        json.loads(case.evaluate("--json", *options).stdout)["detections"]
        for options in (
            (),
            ("--threshold", "0.9", "--tolerance-nm", "20", "--border-nm", "300"),
        )
    )
    assert strict["true"] < 0.8 * loose["true"]
    assert strict["found"] < loose["found"]
    assert strict["rmse_nm"] < 20 < loose["rmse_nm"] + 20
    refused = case.evaluate("--tolerance-nm", "0")
    assert refused.exit_code == 2


def test_a_film_of_any_size_has_its_molecules_scored(case: _Case) -> None:
    """22 x 21 pixels: the network takes multiples of four."""
    film, image = tifffile.imread(case.film), tifffile.imread(case.image)
    tifffile.imwrite(case.film, film[:, :22, :21])
    tifffile.imwrite(case.image, image[: 22 * ZOOM, : 21 * ZOOM])
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["detections"]
    positions = read_molecules(case.positions)
    assert found["true"] == ((positions.y_nm < 2200) & (positions.x_nm < 2100)).sum()
    assert found["jaccard"] > 0.5


def test_calibration_is_drawn(case: _Case) -> None:
    path = case.folder / "calibration.png"
    assert case.evaluate("--calibration-figure", str(path)).exit_code == 0
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    refused = case.evaluate("--calibration-figure", str(path), "--no-detections")
    _assert_refused(refused, 2, "no calibration without detections")


def test_without_a_network_the_image_is_scored_all_the_same(
    case: _Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise SettingError("no model repository")

    monkeypatch.setattr("smlm_training.commands.evaluate.find_model_repository", missing)
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    assert "no detections are scored: no model repository" in result.stderr
    assert json.loads(result.stdout)["detections"] is None


def test_without_onnxruntime_the_image_is_scored_all_the_same(
    case: _Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    assert "ONNX Runtime is missing; pip install 'smlm-recon[local]'" in result.stderr
    assert json.loads(result.stdout)["detections"] is None


@pytest.mark.parametrize("content", [None, b"", b"this is no network"])
def test_evaluate_refuses_what_is_no_network(case: _Case, content: bytes | None) -> None:
    path = case.folder / "network.onnx"
    if content is not None:
        path.write_bytes(content)
    _assert_refused(case.evaluate("--network", str(path)), 2, f"{path} is no network")


def test_evaluate_takes_the_pixel_size(case: _Case) -> None:
    table = case.positions.read_text().splitlines()
    rows = [[float(value) for value in row.split(",")] for row in table[1:]]
    doubled = [f"{row[0]:g},{row[1]:g},{2 * row[2]},{2 * row[3]},1,1,1,1" for row in rows]
    at_100_nm = case.evaluate("--json", "--no-detections")
    case.positions.write_text("\n".join([table[0], *doubled]))
    at_200_nm = case.evaluate("--json", "--no-detections", "--pixel-size-nm", "200")
    assert json.loads(at_200_nm.stdout) == json.loads(at_100_nm.stdout)


def test_evaluate_draws_the_figure(case: _Case) -> None:
    figure = case.folder / "comparison.png"
    result = case.evaluate("--figure", str(figure), "--no-detections")
    assert result.exit_code == 0, result.output
    with Image.open(figure) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2.5 * picture.height  # four panels
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 100  # the map 'hot'


def test_evaluate_refuses_a_table_of_another_film(case: _Case) -> None:
    other = case.folder / "other"
    assert _simulate(other, "--seed", "99").exit_code == 0
    case.positions.write_bytes((other / "positions.csv").read_bytes())
    figure = case.folder / "comparison.png"
    result = case.evaluate("--figure", str(figure))
    _assert_refused(result, 3, "the table does not fit the film")
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
@pytest.mark.parametrize("file", ["film", "image"])
def test_evaluate_refuses_files_that_are_no_pictures(
    case: _Case, file: str, spoil: Callable[[Path], None]
) -> None:
    path = getattr(case, file)
    spoil(path)
    _assert_refused(case.evaluate(), 3, str(path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_missing, "there is no file {}; expected a CSV or XLSX file"),
        (_empty, "{} is not a table of positions (it is empty); expected"),
        (_text, "{} is not a table of positions (no column 'frame' among"),
    ],
)
def test_evaluate_refuses_files_that_are_no_tables(
    case: _Case, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(case.positions)
    _assert_refused(case.evaluate(), 3, message.format(case.positions))


def test_evaluate_refuses_a_film_of_one_frame(case: _Case) -> None:
    tifffile.imwrite(case.film, np.ones((SIZE_PX, SIZE_PX), np.uint16))
    _assert_refused(case.evaluate(), 3, "holds one frame; a film needs at least 2")


def test_evaluate_refuses_a_film_of_complex_numbers(case: _Case) -> None:
    tifffile.imwrite(case.film, np.ones((5, SIZE_PX, SIZE_PX), np.complex64))
    _assert_refused(case.evaluate(), 3, "holds complex64 values; expected a film of grey frames")


def test_evaluate_takes_a_film_of_floats_as_the_client_does(case: _Case) -> None:
    expected = case.evaluate("--json").stdout
    tifffile.imwrite(case.film, tifffile.imread(case.film).astype(np.float32))
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    assert "recon-train: stack.tif holds float32 values; taken as whole counts" in result.stderr
    assert result.stdout == expected


@pytest.mark.parametrize("kind", WRITERS)
def test_evaluate_takes_every_format_of_the_client(case: _Case, kind: str) -> None:
    expected = case.evaluate("--json").stdout
    case.film = WRITERS[kind](case.folder / "other", tifffile.imread(case.film))
    result = case.evaluate("--json")
    assert result.exit_code == 0, result.output
    assert result.stdout == expected
    assumed = f"recon-train: {case.film.name} does not state its pixel size; assuming 100 nm"
    assert (assumed in result.stderr) == (kind in {"folder", "zarr"})


def test_evaluate_takes_the_films_own_pixel_size(case: _Case, tmp_path: Path) -> None:
    """Positions and film of 160 nm pixels; no option says so."""
    assert _simulate(tmp_path / "160", "--pixel-size-nm", "160", "--seed", "8").exit_code == 0
    case.folder = tmp_path / "160"
    case.positions = case.folder / "positions.csv"
    write_nd2(case.folder / "film.nd2", tifffile.imread(case.folder / "stack.tif"), pixel_um=0.16)
    for name in ("stack.tif", "film.nd2"):
        case.film = case.folder / name
        result = case.evaluate("--no-detections")
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        wrong = case.evaluate("--no-detections", "--pixel-size-nm", "100")
        _assert_refused(wrong, 3, "expected the film's own table, frames from 1, and pixels of 100")


def test_evaluate_takes_one_channel(case: _Case) -> None:
    expected = case.evaluate("--json").stdout
    frames = tifffile.imread(case.film)
    case.film = case.folder / "film.nd2"
    write_nd2(case.film, np.stack([frames[::-1], frames], axis=1))
    _assert_refused(case.evaluate(), 3, "choose one with --channel 0 to 1")
    assert case.evaluate("--json", "--channel", "1").stdout == expected


def test_interruption_has_its_exit_code(case: _Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smlm_training.commands.evaluate.score", interrupt)
    _assert_refused(case.evaluate(), 130, "interrupted")


def test_every_option_has_help() -> None:
    command: Any = typer.main.get_command(app)
    expected = {"simulate", "match", "fit", "evaluate", "export", "publish", "halve", "reference"}
    assert set(command.commands) == expected
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
