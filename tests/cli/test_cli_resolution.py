"""``submit --resolution`` and ``recon-client resolution``: number, curve and map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakes.command_line import invoke, names, submit, take_for_local
from fakes.drifting_samples import film_adu, molecules
from fakes.image_files import described
from fakes.tables import write
from fakes.transports import ComputingTransport
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.tables.rows import Rows


def _measured(*arguments: str | Path) -> dict[str, Any]:
    result = invoke("resolution", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


@pytest.fixture
def table(tmp_path: Path) -> Path:
    points, _ = molecules("dots", "none", frames=800, per_frame=6)
    y_nm, x_nm = points.yx_nm
    rows = Rows({"frame": points.frame, "x_nm": x_nm, "y_nm": y_nm})
    return write(tmp_path / "table.csv", rows)


def test_a_run_states_its_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    film = tmp_path / "film.tif"
    tifffile.imwrite(film, film_adu("none", frames=80), photometric="minisblack")
    done = submit(film, "--resolution", "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)["resolution"]
    assert 20 < facts["ring_correlation_nm"] < 120
    assert facts["block_frames"] == 10
    stated = described(tmp_path / "film.sr.ome.tif")["resolution"]
    assert stated["ring_correlation_nm"] == facts["ring_correlation_nm"]
    assert stated["plot"] == "film.sr.resolution.png"
    beside = [name for name in names(tmp_path) if ".resolution." in name]
    assert beside == [f"film.sr.resolution.{ending}" for ending in ("csv", "png", "tif")]
    submit(film, "-o", tmp_path / "plain.tif", "--quiet")
    plain = tifffile.imread(tmp_path / "plain.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "film.sr.ome.tif"), plain)
    text = submit(film, "--resolution", "--overwrite").stdout
    assert f"resolved {facts['ring_correlation_nm']:.0f} nm (ring correlation); see " in text
    assert json.loads(submit(film, "--overwrite", "--json").stdout)["resolution"] is None


def test_a_table_and_its_files(table: Path) -> None:
    facts = _measured(table, "-o", table.with_name("t"), "--sr-pixel-nm", "10")
    assert facts["block_frames"] == 100
    assert 20 < facts["ring_correlation_nm"] < 60
    curve = np.loadtxt(table.with_name("t.resolution.csv"), delimiter=",", skiprows=1)
    below = curve[np.argmax((curve[:, 1] < 1 / 7) & (curve[:, 0] > 1)), 0]
    assert 1000 / below == pytest.approx(facts["ring_correlation_nm"], rel=0.02)
    with Image.open(table.with_name("t.resolution.png")) as picture:
        assert picture.size == (1200, 700)
    tiles = tifffile.imread(table.with_name("t.resolution.tif"))
    assert np.nanmedian(tiles) == pytest.approx(facts["tile_quartiles_nm"][1], abs=0.1)
    again = invoke("resolution", table, "-o", table.with_name("t"))
    assert again.exit_code == 7
    assert "exists; expected a new name" in again.stderr
    assert invoke("resolution", table, "-o", table.with_name("t"), "--overwrite").exit_code == 0


def test_text_for_people(table: Path) -> None:
    text = invoke("resolution", table).stdout.splitlines()
    assert text[0].startswith("Fourier ring correlation: ")
    assert text[1].startswith("decorrelation analysis: ")
    assert text[2].startswith("tiles: half of them from ")


def test_two_images_are_halves_and_one_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sample = rng.poisson(0.02, (128, 128)) * 30.0
    for name in ("a", "b"):
        half = rng.poisson(sample).astype(np.float32)
        write_image(tmp_path / f"{name}.tif", half, ImageFacts(20))
    both = _measured(tmp_path / "a.tif", tmp_path / "b.tif")
    assert both["sr_pixel_nm"] == 20
    assert both["limited_by_pixels"]
    assert both["ring_correlation_nm"] == 40
    assert both["notes"]
    one = _measured(tmp_path / "a.tif", "--sr-pixel-nm", "10")
    assert (one["ring_correlation_nm"], one["sr_pixel_nm"]) == (None, 10)


def test_few_molecules(tmp_path: Path) -> None:
    rows = Rows(
        {name: np.arange(60.0) * 10 for name in ("x_nm", "y_nm")} | {"frame": np.arange(60)}
    )
    facts = _measured(write(tmp_path / "few.csv", rows))
    assert facts["ring_correlation_nm"] is None
    assert facts["notes"][0].startswith("too few molecules to state a resolution (expected 200")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.csv", "b.csv"), "2 inputs are given; expected a table, the images of two halves"),
        (("a.tif", "-o", "t"), "-o writes the ring correlation of two halves, and there is one"),
        (("gone.tif",), "there is no image gone.tif"),
        (("a.csv", "--sr-pixel-nm", "0"), "sr-pixel-nm is 0; expected a number above 0"),
        (("small.tif",), "expected one plane of at least 16 x 16 numbers"),
        (("plain.tif",), "does not state its pixel size; expected --sr-pixel-nm"),
        (("large.tif", "other.tif"), "expected the two halves of one film"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("small.tif", np.zeros((8, 8), np.float32))
    tifffile.imwrite("plain.tif", np.zeros((32, 32), np.float32))
    for name, size in (("large.tif", 64), ("other.tif", 48)):
        image = np.ones((size, size), np.float32)
        write_image(Path(name), image, ImageFacts(10))
    result = invoke("resolution", *arguments)
    assert result.exit_code in (2, 3)
    assert message in result.stderr


def test_one_image_has_no_halves_and_says_so(tmp_path: Path) -> None:
    image = np.random.default_rng(0).poisson(0.5, (64, 64)).astype(np.float32)
    write_image(tmp_path / "a.tif", image, ImageFacts(20))
    text = invoke("resolution", tmp_path / "a.tif").stdout
    first = text.splitlines()[0]
    assert first.startswith("Fourier ring correlation: needs two halves of the film")
    assert "submit FILM --resolution" in first
    assert "refined" not in text


@pytest.mark.parametrize(("steps", "warned"), [(4, True), (0, False)])
def test_the_number_of_a_refined_image_is_no_resolution(
    tmp_path: Path, steps: int, warned: bool
) -> None:
    image = np.random.default_rng(0).poisson(0.5, (64, 64)).astype(np.float32)
    path = tmp_path / "a.ome.tif"
    write_image(path, image, ImageFacts(20, {"refinement": {"steps": steps}}))
    notes = _measured(path)["notes"]
    assert any("not what it resolves" in note for note in notes) == warned
    assert any("not what it resolves" in note for note in _measured(path, path)["notes"]) == warned
