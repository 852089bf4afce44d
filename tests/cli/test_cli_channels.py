"""``submit --channels``: one image of two channels of a film, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from fakes.command_line import names, one_line, submit, take_for_local
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_bench.channels.films import PIXEL_NM, Geometry, Sample, bead_film, two_channel_film
from smlm_pipeline.channels import run
from smlm_pipeline.cli.json_output import SCHEMA_FILE
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run.canvas import FileCanvas

GEOMETRY = Geometry((2.0, -3.0))
FRAMES = 60
OPTIONS = ("--pixel-size-nm", "100", "--zoom", "4", "--quiet")
SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
SPLITS: dict[str, Any] = {
    "left,right": np.s_[:, :, 48:],
    "top,bottom": np.s_[:, 48:],
    "alternating": np.s_[1::2],
}


def _film(path: Path, split: str, *, common: float = 1.0) -> Path:
    """Bright spots in both channels, which the fake network finds, at 96 x 48 pixels or so."""
    sample = Sample("", common, per_frame=8, frames=FRAMES)
    film = two_channel_film(sample, split, GEOMETRY, edge_px=48, seed=4)
    tifffile.imwrite(path, film, photometric="minisblack")
    return path


@pytest.fixture(autouse=True)
def transport(monkeypatch: pytest.MonkeyPatch) -> ComputingTransport:
    found = ComputingTransport()
    take_for_local(monkeypatch, found)
    return found


def _planes(path: Path) -> NDArray[np.float32]:
    planes: NDArray[np.float32] = tifffile.imread(path)
    return planes


@pytest.mark.parametrize("split", SPLITS)
def test_channels_are_those_of_runs_of_their_own(tmp_path: Path, split: str) -> None:
    film = _film(tmp_path / "film.tif", split)
    assert submit(film, "--channels", split, "--registration", "off", *OPTIONS).exit_code == 0
    assert names(tmp_path) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]
    part = tmp_path / "part.tif"
    tifffile.imwrite(part, _planes(film)[SPLITS[split]], photometric="minisblack")
    assert submit(part, *OPTIONS).exit_code == 0
    planes = _planes(tmp_path / "film.sr.ome.tif")
    assert planes.shape == (2, 192, 192)
    np.testing.assert_array_equal(planes[1], _planes(tmp_path / "part.sr.ome.tif"))


def test_names_colours_and_picture(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right")
    options = ("--channels", "left,right", "--channel-names", "mEos,Alexa647", "--contrast", "99%")
    assert submit(film, *options, *OPTIONS).exit_code == 0
    with tifffile.TiffFile(tmp_path / "film.sr.ome.tif") as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"]["Pixels"]
        assert len(tiff.pages) == 2
    assert [each["Name"] for each in pixels["Channel"]] == ["mEos", "Alexa647"]
    assert (pixels["SizeC"], pixels["PhysicalSizeX"]) == (2, 25)
    picture = Image.open(tmp_path / "film.sr.png")
    assert {"Colours of mEos", "Colours of Alexa647"} <= set(picture.info)
    colours = np.asarray(picture)[150:350, 150:350].reshape(-1, 3).astype(int)
    np.testing.assert_array_equal(colours[:, 0], colours[:, 2])  # magenta, green or both
    assert colours.max(axis=0).min() > 100


def test_images_that_tell_no_shift_are_left_with_a_warning(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right", common=0)
    result = submit(film, "--channels", "left,right", "--registration", "auto", *OPTIONS)
    assert "right is not registered to left: the images do not tell their shift" in result.stderr
    off = submit(film, "--channels", "left,right", "--registration", "off", "--overwrite", *OPTIONS)
    assert off.stderr == ""
    assert described(tmp_path / "film.sr.ome.tif")["registration"] == {"method": "none"}


@pytest.mark.parametrize("split", SPLITS)
def test_registration_by_beads(tmp_path: Path, split: str) -> None:
    film, beads = _film(tmp_path / "film.tif", split, common=0), tmp_path / "beads.tif"
    frames = bead_film(split, Geometry((2.0, -3.0), 1.0), edge_px=48)
    tifffile.imwrite(beads, frames, photometric="minisblack")
    options = ("--channels", split, "--registration-film", beads, "-o", tmp_path / "out.ome.zarr")
    result = submit(film, *options, "--json", *OPTIONS)
    report = json.loads(result.stdout)
    SCHEMA.validate(report)
    found = report["registration"]
    assert found["method"] == "beads"
    assert (found["shift_x_nm"], found["shift_y_nm"]) == pytest.approx((-300, 200), abs=5)
    assert found["rotation_deg"] == pytest.approx(1, abs=0.1)
    assert 0 < found["residual_nm"] < 5
    assert str(tmp_path) not in (tmp_path / "out.ome.zarr" / ".zattrs").read_text()
    group = zarr.open_group(str(tmp_path / "out.ome.zarr"), mode="r")
    assert group["0"].shape == (2, 192, 192)
    scale = group.attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1, PIXEL_NM / 4, PIXEL_NM / 4]
    assert [each["label"] for each in group.attrs["omero"]["channels"]] == list(
        json.loads(result.stdout)["channels"]
    )


IN_TURN = ("--channels", "left,right", "--chunk-frames", "10", "--in-flight", "1")
"""Six requests for each channel, one after the other."""


class _Failing(ComputingTransport):
    """Fails at the request of this number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._left = number

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self._left -= 1
        if self._left < 0:
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


@pytest.mark.parametrize(("answered", "kept"), [(2, 1), (8, 2)])
def test_an_interrupted_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int, kept: int
) -> None:
    """Six requests a channel: it ends in the first channel, or in the second. Sums are in files."""
    monkeypatch.setattr(run, "open_canvas", lambda plan, at: FileCanvas(plan.canvas_shape, at))
    film = _film(tmp_path / "film.tif", "left,right")
    table, whole = tmp_path / "table.csv", tmp_path / "whole.csv"
    assert (
        submit(
            film, *IN_TURN, "-o", tmp_path / "whole.tif", "--molecules", whole, *OPTIONS
        ).exit_code
        == 0
    )
    asked = (*IN_TURN, "--molecules", table)
    take_for_local(monkeypatch, _Failing(answered))
    assert submit(film, *asked, *OPTIONS).exit_code == 6
    left = [f"film.sr.{half}.checkpoint" for half in ("left", "right")][:kept]
    kept_files = [file for each in left for file in (each, f"{each}.molecules")]
    assert [name for name in names(tmp_path) if "film.sr" in name] == kept_files
    refused = submit(film, *asked, *OPTIONS)
    assert "is the checkpoint of an interrupted run" in one_line(refused)
    transport = ComputingTransport()
    take_for_local(monkeypatch, transport)
    assert submit(film, *asked, "--resume", *OPTIONS).exit_code == 0
    assert len(transport.requests) == 12 - answered
    assert [name for name in names(tmp_path) if "film.sr" in name] == [
        "film.sr.ome.tif",
        "film.sr.png",
    ]
    for half in ("left", "right"):
        tables = [path.with_name(f"{path.stem}.{half}.csv") for path in (table, whole)]
        assert tables[0].read_bytes() == tables[1].read_bytes()
    np.testing.assert_array_equal(
        _planes(tmp_path / "film.sr.ome.tif"), _planes(tmp_path / "whole.tif")
    )


def test_a_checkpoint_of_another_channel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if both halves of the film show the same to the last bit."""
    half = two_channel_film(Sample("", 1, frames=FRAMES), "left,right", GEOMETRY, edge_px=48)
    film = tmp_path / "film.tif"
    alike = np.concatenate([half[:, :, :48]] * 2, axis=2)
    tifffile.imwrite(film, alike, photometric="minisblack")
    take_for_local(monkeypatch, _Failing(2))
    assert submit(film, *IN_TURN, *OPTIONS).exit_code == 6
    left = tmp_path / "film.sr.left.checkpoint"
    left.with_name("film.sr.right.checkpoint").write_bytes(left.read_bytes())
    take_for_local(monkeypatch, ComputingTransport())
    refused = submit(film, *IN_TURN, "--resume", *OPTIONS)
    assert refused.exit_code != 0
    assert "film.sr.right.checkpoint belongs to another film" in refused.stderr


def test_refined_channels_and_their_sums(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right")
    run = (film, "--channels", "left,right", "--registration", "off", *OPTIONS)
    assert submit(*run, "-o", tmp_path / "plain.ome.tif").exit_code == 0
    assert submit(*run, "--refine", "2").exit_code == 0
    refined, sums, plain = (
        _planes(tmp_path / f"{name}.ome.tif") for name in ("film.sr", "film.sr.sum", "plain")
    )
    np.testing.assert_array_equal(sums, plain)
    for channel in (0, 1):
        assert refined[channel].sum() == pytest.approx(plain[channel].sum(), rel=1e-4)
        assert (refined[channel] != plain[channel]).any()
    stated = described(tmp_path / "film.sr.sum.ome.tif")
    assert [each["refinement"] for each in stated["channels"].values()] == [None, None]


def test_dry_run(tmp_path: Path) -> None:
    film = _film(tmp_path / "film.tif", "top,bottom")
    result = submit(film, "--channels", "top,bottom", "--dry-run", *OPTIONS)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("top: 60 frames of 48 x 48 pixels")
    assert any(line.startswith("bottom: 60 frames of 48 x 48 pixels") for line in lines)
    stated = json.loads(submit(film, "--channels", "top,bottom", "--dry-run", "--json").stdout)
    SCHEMA.validate(stated)
    assert list(stated["channels"]) == ["top", "bottom"]
    assert names(tmp_path) == ["film.tif"]
