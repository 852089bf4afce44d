"""``recon-client`` as a user meets it: what a run leaves and says."""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakes.command_line import NOTICE, invoke, names, one_line, submit, write_film
from fakes.films import spots_adu
from smlm_pipeline import contract
from smlm_pipeline.cli import app
from smlm_pipeline.compute.openvino_network import NO_BF16
from smlm_pipeline.report import Report

HEAVY = {"grpc", "keras", "onnxruntime", "numba", "scipy", "tensorflow", "tf2onnx", "tritonclient"}


PLANNED = [
    "schema_version",
    *("film", "image", "molecules", "part"),
    *("frames", "height_px", "width_px", "pixel_size_nm", "zoom"),
    "requests",
    *("chunk_frames", "in_flight", "memory_bytes", "sum_in_memory", "selection", "missing"),
    "notes",
]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


def _pixel_nm(path: Path) -> float:
    with tifffile.TiffFile(path) as tiff:
        pixels: dict[str, Any] = tifffile.xml2dict(tiff.ome_metadata or "")
    return float(pixels["OME"]["Image"]["Pixels"]["PhysicalSizeX"])


# --- what a run leaves and says -------------------------------------------------------------


def test_image_and_picture_lie_beside_the_film(film: Path) -> None:
    result = submit(film)
    assert result.exit_code == 0, result.output
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]
    image = tifffile.imread(film.with_name("film.sr.ome.tif"))
    assert image.dtype == np.float32
    assert image.shape == (256, 256)
    assert image.min() >= 0
    assert image.sum() > 0
    assert "reconstruction version 1" in result.stdout
    with Image.open(film.with_name("film.sr.png")) as picture:
        assert picture.size == (512, 512)
    for word in ("film.sr.ome.tif", "film.sr.png", "12.5 nm", "16 frames", "frames/s"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("stack", "image"),
    [
        ("film.tif", "film.sr.ome.tif"),
        ("film.TIFF", "film.sr.ome.tif"),
        ("film.ome.tif", "film.sr.ome.tif"),
        ("film.Ome.Tiff", "film.sr.ome.tif"),
        ("a.b.tif", "a.b.sr.ome.tif"),
        ("film.stk", "film.sr.ome.tif"),
        ("film.dat", "film.dat.sr.ome.tif"),
        ("film", "film.sr.ome.tif"),
    ],
)
def test_default_name(film: Path, stack: str, image: str) -> None:
    named = film.rename(film.with_name(stack))
    result = submit(named, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith(f"{os.sep}{image}")


@pytest.mark.parametrize(
    ("output", "picture"),
    [("out.tif", "out.png"), ("out.ome.tif", "out.png"), ("OUT.OME.TIFF", "OUT.png")],
)
def test_given_name(film: Path, output: str, picture: str) -> None:
    folder = film.parent / "results"
    folder.mkdir()
    result = submit(film, "-o", folder / output)
    assert result.exit_code == 0, result.output
    assert names(folder) == sorted([output, picture])


@pytest.mark.parametrize("name", ["film.sr.ome.tif", "film.sr.png"])
def test_an_older_result_is_replaced_only_if_asked(film: Path, name: str) -> None:
    older = film.with_name(name)
    older.write_text("older")
    refused = submit(film)
    assert refused.exit_code == 7
    assert f"{name} exists; expected a new name: choose one with -o" in one_line(refused)
    assert older.read_text() == "older"
    assert submit(film, "--overwrite").exit_code == 0
    assert tifffile.imread(film.with_name("film.sr.ome.tif")).shape == (256, 256)


def test_into_a_folder(film: Path) -> None:
    folder = film.parent / "results"
    folder.mkdir()
    assert submit(film, "-o", folder).exit_code == 0
    assert names(folder) == ["film.sr.ome.tif", "film.sr.png"]


def test_the_plan_as_json(film: Path) -> None:
    result = submit(film, "--dry-run", "--json", "--frames", "2:10", "--roi", "4,8,20,16")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == PLANNED
    assert told["film"] == str(film)
    assert (told["frames"], told["height_px"], told["width_px"]) == (8, 16, 20)
    assert told["selection"]["roi_px"] == [4, 8, 20, 16]
    assert told["selection"]["frames"] == [2, 10]
    assert told["image"] == str(film.with_name("film.sr.ome.tif"))
    assert len(told["notes"]) == 1
    assert names(film.parent) == ["film.tif"]


def test_a_part_of_the_film(film: Path) -> None:
    part = film.with_name("part.tif")
    tifffile.imwrite(part, tifffile.imread(film)[2:10, 8:24, 4:24], photometric="minisblack")
    asked = ["--frames", "2:10", "--roi", "4,8,20,16", "--json"]
    told = json.loads(submit(film, *asked).stdout)
    assert submit(part, "--quiet").exit_code == 0
    assert told["selection"]["roi_px"] == [4, 8, 20, 16]
    cut, alone = (tifffile.imread(film.with_name(f"{n}.sr.ome.tif")) for n in ("film", "part"))
    np.testing.assert_array_equal(cut, alone)


def test_a_film_of_nothing_is_told(film: Path) -> None:
    tifffile.imwrite(film, np.full((16, 32, 32), 100, np.uint16), photometric="minisblack")
    result = submit(film)
    assert result.exit_code == 0
    assert "recon-client: found no emitter at all, so the image is empty" in result.stderr
    told = json.loads(submit(film, "--overwrite", "--json").stdout)
    notes = [note[:20] for note in told["notes"] if note != NO_BF16]
    assert notes == ["film.tif does not st", "nothing that blinks ", "found no emitter at "]


def test_floats_are_rescaled_and_it_is_told(film: Path) -> None:
    counts = tifffile.imread(film)
    tifffile.imwrite(film, (counts / 16 - 3).astype(np.float32), photometric="minisblack")
    result = submit(film)
    assert result.exit_code == 0
    assert "film.tif holds float32 values; rescaled to 16 bits: count = (value - " in result.stderr
    assert tifffile.imread(film.with_name("film.sr.ome.tif")).sum() > 0


def test_a_sum_that_lies_in_a_file_is_the_same(film: Path) -> None:
    wide = film.with_name("wide.tif")
    tifffile.imwrite(wide, spots_adu(3, 96, 200), photometric="minisblack")
    asked = ["--zoom", "16", "--tile-px", "64", "--quiet"]
    for name, limit in (("memory", "2GiB"), ("file", "310MiB")):
        plan = json.loads(
            submit(wide, "--memory", limit, "--dry-run", "--json", *asked[:-1]).stdout
        )
        assert plan["sum_in_memory"] is (name == "memory")
        result = submit(wide, "--memory", limit, "-o", film.with_name(f"{name}.tif"), *asked)
        assert result.exit_code == 0, result.output
    one, other = (tifffile.imread(film.with_name(f"{name}.tif")) for name in ("memory", "file"))
    np.testing.assert_array_equal(one, other)
    assert one.sum() > 0


def test_json_report(film: Path) -> None:
    result = submit(film, "--json", "--zoom", "4", "--pixel-size-nm", "100")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert list(told) == ["schema_version", *(each.name for each in dataclasses.fields(Report))]
    assert told["film"] == str(film)
    assert told["image"] == str(film.with_name("film.sr.ome.tif"))
    assert told["picture"] == str(film.with_name("film.sr.png"))
    assert (told["frames"], told["chunks"], told["zoom"]) == (16, 1, 4)
    assert (told["pixel_size_nm"], told["sr_pixel_size_nm"]) == (100, 25)
    assert told["contract_version"] == contract.CONTRACT_VERSION
    image = tifffile.imread(told["image"])
    assert told["emitters"] == pytest.approx(float(image.sum(dtype=np.float64)))


def test_metadata_tells_what_made_the_image_and_names_no_folder(film: Path) -> None:
    assert submit(film, "--quiet").exit_code == 0
    with tifffile.TiffFile(film.with_name("film.sr.ome.tif")) as tiff:
        described = str(tiff.ome_metadata)
    for fact in ("film.tif", "smlm-recon", "reconstruction", "contract_version"):
        assert fact in described
    assert str(film.parent) not in described


def test_quiet_prints_nothing(film: Path) -> None:
    result = submit(film, "--quiet", "--pixel-size-nm", "100")
    assert result.exit_code == 0
    assert result.output == ""
    assert film.with_name("film.sr.ome.tif").exists()


def test_quiet_names_files_that_may_belong_to_the_film(film: Path) -> None:
    first, third = (film.with_name(f"film_{number}.tif") for number in (1, 3))
    film.rename(first)
    third.write_bytes(first.read_bytes())
    result = submit(first, "--quiet", "--dry-run", "--pixel-size-nm", "100")
    assert result.exit_code == 0
    assert "film_3.tif is beside film_1.tif and may be of the same film" in result.output
    assert "number 2 is not there" in " ".join(result.output.split())


def test_dry_run_tells_the_plan_and_writes_nothing(film: Path) -> None:
    asked = ["--chunk-frames", "5", "--pixel-size-nm", "160", "--memory", "2GiB"]
    result = submit(film, "--dry-run", *asked)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "16 frames of 32 x 32 pixels of 160 nm -> 256 x 256 pixels of 20 nm\n"
        "at most 2,048 MiB of memory, the sum in memory\n"
        f"4 requests of up to 5 frames, 2 at once -> {film.with_name('film.sr.ome.tif')}\n"
    )
    assert result.stderr == ""
    assert names(film.parent) == ["film.tif"]


def test_zoom(film: Path) -> None:
    result = submit(film, "--zoom", "5", "--pixel-size-nm", "110")
    assert result.exit_code == 0, result.output
    image = film.with_name("film.sr.ome.tif")
    assert tifffile.imread(image).shape == (160, 160)
    assert _pixel_nm(image) == pytest.approx(22)


def test_settings_do_not_change_the_image(film: Path) -> None:
    image = film.with_name("film.sr.ome.tif")
    assert submit(film, "--quiet").exit_code == 0
    expected = tifffile.imread(image)
    options = ("--chunk-frames", "3", "--in-flight", "4", "--tile-px", "64")
    assert submit(film, "--quiet", "--overwrite", *options).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(image), expected)


def test_map_of_the_map_network(film: Path) -> None:
    """Another image than that of the detections, and its metadata tell whose it is."""
    drawn = film.with_name("drawn.tif")
    assert submit(film, "--quiet", "-o", drawn).exit_code == 0
    result = submit(film, "--model", "reconstruction_map", "--chunk-frames", "5")
    assert result.exit_code == 0, result.output
    assert "reconstruction_map version 1" in result.stdout
    image = film.with_name("film.sr.ome.tif")
    assert tifffile.imread(image).shape == (256, 256)
    assert not np.array_equal(tifffile.imread(image), tifffile.imread(drawn))
    with tifffile.TiffFile(image) as tiff:
        assert '"model": "reconstruction_map"' in html.unescape(str(tiff.ome_metadata))


def test_chunks_of_maps_are_smaller(film: Path) -> None:
    tifffile.imwrite(film, spots_adu(600, 32, 32), photometric="minisblack")
    for model, told in (
        ("reconstruction", "1 requests of up to 600 frames"),
        ("reconstruction_map", "5 requests of up to 128 frames"),
    ):
        assert told in submit(film, "--dry-run", "--model", model).stdout


# --- pixel size -----------------------------------------------------------------------------


def test_pixel_size_by_default_is_said(film: Path) -> None:
    result = submit(film, "--dry-run")
    assert "32 x 32 pixels of 100 nm" in result.stdout
    assert result.stderr == f"{NOTICE}\n"


@pytest.mark.parametrize("silence", ["--quiet", "--json"])
def test_pixel_size_by_default_is_said_when_silent(film: Path, silence: str) -> None:
    assert submit(film, silence, "--dry-run").stderr == f"{NOTICE}\n"
    assert submit(film, silence).stderr == f"{NOTICE}\n"
    assert _pixel_nm(film.with_name("film.sr.ome.tif")) == pytest.approx(12.5)


@pytest.mark.parametrize(("options", "pixel_nm"), [([], 13), (["--pixel-size-nm", "80"], 10)])
def test_pixel_size_is_the_users_or_else_the_files(
    film: Path, options: list[str], pixel_nm: float
) -> None:
    size_um = 0.104
    tifffile.imwrite(
        film,
        spots_adu(16, 32, 32),
        imagej=True,
        resolution=(1 / size_um, 1 / size_um),
        metadata={"unit": "um", "axes": "TYX"},
    )
    result = submit(film, *options)
    assert result.exit_code == 0, result.output
    assert "does not state its pixel size" not in result.stderr
    assert _pixel_nm(film.with_name("film.sr.ome.tif")) == pytest.approx(pixel_nm, rel=1e-5)


def test_notice_spells_the_name_as_it_is(film: Path) -> None:
    """Square brackets are markup to the library that prints."""
    named = film.rename(film.with_name("cells [a647] of the day before yesterday, again.tif"))
    result = submit(named, "--dry-run")
    assert f"{named.name} does not state its pixel size; assuming 100 nm" in result.stderr


# --- help -----------------------------------------------------------------------------------


def _in_a_fresh_process(code: str) -> list[str]:
    """Top-level modules that are loaded after the code ran, whatever it prints."""
    listing = "import sys; sys.stderr.write(' '.join({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"try:\n    {code}\nexcept SystemExit:\n    pass\n{listing}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stderr.split()


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["status", "-h"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = _in_a_fresh_process(f"from smlm_pipeline.cli.app import app; app({arguments!r})")
    assert "typer" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_the_help_of_the_app_lists_the_exit_codes() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    for code in ("0 done", "2 wrong option", "3 the film", "4 no server", "5 the server", "143"):
        assert code in text


@pytest.mark.parametrize("command", ["submit", "serve", "status", "plan"])
def test_the_help_of_a_command_does_not_repeat_them(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Exit codes" not in result.stdout


def test_every_option_is_explained() -> None:
    told = invoke("submit", "--help").stdout
    for option in (
        *("--output", "--server", "--engine", "--pixel-size-nm", "--zoom", "--chunk-frames"),
        *("--frames", "--roi", "--channel", "--position", "--time-axis", "--memory", "--overwrite"),
        *("--in-flight", "--tile-px", "--model", "--model-repository", "--dry-run", "--quiet"),
        *("--json", "RECON_SERVER", "RECON_MODEL_REPOSITORY", "--resume", "--allow-partial"),
        *("--checkpoint-every-s", "--attempts", "--timeout-s", "--z", "FILM"),
    ):
        assert option in told


@pytest.mark.parametrize(
    "panel", ["Film", "Image", "Engine", "Requests and memory", "Interrupted runs", "Output"]
)
def test_options_are_in_panels(panel: str) -> None:
    assert re.search(rf"^╭─ {panel} ─+╮$", invoke("submit", "--help").stdout, re.MULTILINE)


def test_without_a_command_there_is_help() -> None:
    result = invoke()
    assert "submit" in result.output
    assert "status" in result.output


def test_the_command_is_installed() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="recon-client")
    assert entry.value == "smlm_pipeline.cli.app:app"
    assert entry.load() is app.app
