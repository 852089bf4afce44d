"""The files that ``submit`` writes on demand: OME-Zarr, and pictures in other styles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes.command_line import names, one_line, submit, take_for_local, write_film
from fakes.image_files import image_of
from fakes.transports import ComputingTransport


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    take_for_local(monkeypatch, ComputingTransport())
    return write_film(tmp_path / "film.tif")


def test_zarr(film: Path) -> None:
    tiff, zarr = film.with_name("film.ome.tif"), film.with_name("out.ome.zarr")
    assert submit(film, "-o", tiff).exit_code == 0
    result = submit(film, "-o", zarr)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(image_of(zarr), image_of(tiff))
    assert names(film.parent) == ["film.ome.tif", "film.png", "film.tif", "out.ome.zarr", "out.png"]
    facts = json.loads((zarr / ".zattrs").read_text())
    assert facts["smlm-recon"]["film"] == "film.tif"
    assert facts["smlm-recon"]["settings"]["zoom"] == 8
    assert facts["multiscales"][0]["name"] == "film.tif"


def test_refined_zarr_has_its_sum_beside_it(film: Path) -> None:
    result = submit(film, "-o", film.with_name("out.ome.zarr"), "--refine", "2")
    assert result.exit_code == 0, result.output
    sums = film.with_name("out.sum.ome.zarr")
    assert image_of(sums).shape == image_of(film.with_name("out.ome.zarr")).shape
    assert submit(film, "-o", film.with_name("out.ome.zarr"), "--overwrite").exit_code == 0
    assert not sums.exists()


def test_zarr_is_replaced_only_if_asked(film: Path) -> None:
    zarr = film.with_name("out.ome.zarr")
    assert submit(film, "-o", zarr).exit_code == 0
    refused = submit(film, "-o", zarr, "--zoom", "4")
    assert refused.exit_code == 7
    assert "out.ome.zarr exists; expected a new name" in one_line(refused)
    assert submit(film, "-o", zarr, "--zoom", "4", "--overwrite").exit_code == 0
    assert image_of(zarr).shape == (128, 128)


def test_folder_of_another_program_is_never_replaced(film: Path) -> None:
    zarr = film.with_name("out.ome.zarr")
    (zarr / "0").mkdir(parents=True)
    (zarr / ".zattrs").write_text('{"multiscales": []}')
    result = submit(film, "-o", zarr, "--overwrite")
    assert result.exit_code == 7
    assert "is no image of this program, so it is not replaced" in one_line(result)
    assert (zarr / "0").is_dir()


def test_own_zarr_is_no_film(film: Path) -> None:
    zarr = film.with_name("out.ome.zarr")
    assert submit(film, "-o", zarr, "--quiet").exit_code == 0
    assert submit(zarr).exit_code == 3


def test_picture_in_another_style(film: Path) -> None:
    options = ("--cmap", "gray", "--contrast", "0:0.2", "--colour-bar", "--dpi", "300")
    assert submit(film, "--quiet", *options).exit_code == 0
    with Image.open(film.with_name("film.sr.png")) as picture:
        assert picture.info["Colour map"] == "gray"
        assert picture.width > picture.height
    refused = submit(film, "--overwrite", "--cmap", "virids")
    assert refused.exit_code == 2
    assert "did you mean viridis?" in one_line(refused)


@pytest.mark.parametrize("folder", ["new/", "new", "deep/er/"])
def test_a_folder_that_is_not_there_is_made(film: Path, folder: str) -> None:
    output = f"{film.parent}/{folder}"
    assert submit(film, "-o", output, "--dry-run").exit_code == 0
    assert not Path(output).exists()
    assert submit(film, "-o", output).exit_code == 0
    assert names(Path(output)) == ["film.sr.ome.tif", "film.sr.png"]


def test_a_name_of_another_kind_is_no_folder(film: Path) -> None:
    refused = submit(film, "-o", film.with_name("out.csv"))
    assert refused.exit_code == 2
    assert "expected a name in .ome.tif, .tif or .ome.zarr, or a folder" in one_line(refused)
