"""Files and names that were made to harm, or only happen to: each gets one plain line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tifffile

from fakes.command_line import invoke, one_line, submit, take_for_local, write_film
from fakes.films import spots_adu
from fakes.places import MODEL_REPOSITORY
from fakes.transports import ComputingTransport
from smlm_pipeline.cli.printable import printable


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


@pytest.mark.parametrize(
    ("option", "name", "reason"),
    [
        ("-o", f"{'a' * 300}.tif", "File name too long"),
        ("-o", "loop.tif", "loop"),
        ("-o", "loop.tif/image.tif", "loop"),
        ("--molecules", f"{'a' * 300}.csv", "File name too long"),
        ("--molecules", "loop.tif/table.csv", "loop"),
    ],
)
def test_an_output_that_cannot_exist(film: Path, option: str, name: str, reason: str) -> None:
    film.with_name("loop.tif").symlink_to("loop.tif")
    result = submit(film, "--quiet", option, film.parent / name)
    assert result.exit_code == 7
    assert reason in one_line(result)
    assert "choose another" in one_line(result)


def test_a_clock_that_stands_in_1970(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a computer whose battery is empty."""
    take_for_local(monkeypatch, ComputingTransport())
    monkeypatch.setattr("time.time", lambda: 3600.0)
    done = submit(film, "--quiet", "--checkpoint-every-s", "0", "--chunk-frames", "2")
    assert done.exit_code == 0, done.stderr


NETWORKS = {
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "run 'git lfs pull'"),
    "no network": (b"\x08\x07" + bytes(range(256)), "is damaged or no network: "),
    "empty": (b"", "is damaged or no network: "),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_is_none(film: Path, tmp_path: Path, name: str) -> None:
    content, reason = NETWORKS[name]
    repository = tmp_path / "repository"
    for model in ("reconstruction", "unet", "summation"):
        shutil.copytree(MODEL_REPOSITORY / model, repository / model)
    (repository / "unet" / "1" / "model.onnx").write_bytes(content)
    result = submit(film, "--quiet", "--model-repository", repository)
    assert result.exit_code == 5
    assert reason in one_line(result)
    assert "--model-repository" in one_line(result)


@pytest.mark.parametrize("engine", ["local", "triton"])
def test_a_network_without_an_end(film: Path, tmp_path: Path, engine: str) -> None:
    """It is refused before anything reads it, Triton included."""
    repository = tmp_path / "repository"
    shutil.copytree(MODEL_REPOSITORY / "reconstruction", repository / "reconstruction")
    (repository / "unet" / "1").mkdir(parents=True)
    (repository / "unet" / "1" / "model.onnx").symlink_to("/dev/zero")
    result = invoke(
        *("submit", film, "--quiet", "--engine", engine, "--model-repository", repository)
    )
    assert result.exit_code == 5
    assert "model.onnx is no file: publish a network" in one_line(result)


def test_names_do_not_reach_the_terminal_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    path = tmp_path / "red\x1b[31m\nline\u202e.tif"
    tifffile.imwrite(path, spots_adu(16, 32, 32), photometric="minisblack")
    done = submit(path)
    assert done.exit_code == 0, done.stderr
    failed = submit(path)
    assert failed.exit_code == 7
    for text in (done.stdout, done.stderr, failed.stderr):
        assert "\\x1b[31m" in text
        assert not {"\x1b", "\u202e"} & set(text)
    assert "red\\x1b[31m\\nline\\u202e.tif does not state its pixel size" in done.stderr


def test_what_is_shown_as_it_is() -> None:
    text = "Zelle 3 µm, 細胞, é, 100 %"
    assert printable(text) == text
    assert printable("a\nb\tc", one_line=False) == "a\nb\tc"
    assert printable("a\nb\tc\udcff") == "a\\nb\\tc\\udcff"
