"""``submit --refine``: what is written and said, and what resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke, names, one_line, submit, take_for_local, write_film
from fakes.films import spots_adu
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_pipeline import settings
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.refine.refinement import MOLECULES_LEAST, class_sigmas_px

IN_TURN = ("--chunk-frames", "2", "--in-flight", "1")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> ComputingTransport:
    computing = ComputingTransport()
    take_for_local(monkeypatch, computing)
    return computing


def _image(film: Path, name: str = "film.sr.ome.tif") -> NDArray[np.float32]:
    found: NDArray[np.float32] = tifffile.imread(film.with_name(name))
    return found


def _plain(film: Path) -> NDArray[np.float32]:
    path = film.parent.parent / "plain.tif"
    assert submit(film, "-o", path, "--quiet").exit_code == 0
    found: NDArray[np.float32] = tifffile.imread(path)
    return found


def _report(film: Path, *options: str) -> dict[str, Any]:
    result = submit(film, *options, "--json")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_the_image_is_refined_and_the_sum_is_beside_it(
    film: Path, transport: ComputingTransport
) -> None:
    told = _report(film, "--refine", "3")
    written = ["film.sr.ome.tif", "film.sr.png", "film.sr.sum.ome.tif", "film.tif"]
    assert names(film.parent) == written
    plain, refined = _image(film, "film.sr.sum.ome.tif"), _image(film)
    np.testing.assert_array_equal(plain, _plain(film))
    assert not np.array_equal(refined, plain)
    assert refined.sum(dtype=np.float64) == pytest.approx(plain.sum(dtype=np.float64), rel=1e-6)
    assert told["emitters"] == pytest.approx(plain.sum(dtype=np.float64), rel=1e-6)
    assert told["sum_image"] == str(film.with_name("film.sr.sum.ome.tif"))
    facts = told["refinement"]
    assert (facts["asked"], facts["steps"], facts["stopped_by"]) == (3, 3, "as asked")
    assert facts["class_borders_px"] == [0.08, 0.12, 0.16]
    assert facts["class_sigmas_px"] == pytest.approx(class_sigmas_px((0.08, 0.12, 0.16)), abs=1e-4)
    assert len(facts["gain_nats_per_molecule"]) == 3
    assert described(film.with_name("film.sr.ome.tif"))["refinement"] == facts
    assert described(film.with_name("film.sr.sum.ome.tif"))["refinement"] is None
    asked = {request.window.classes for request in transport.requests.values()}
    assert asked == {1, 4}  # one of the plain run


def test_text_for_people(film: Path, transport: ComputingTransport) -> None:
    result = submit(film, "--refine", "3")
    lines = result.stdout.splitlines()
    assert f"refined  3 steps; the plain sum is {film.with_name('film.sr.sum.ome.tif')}" in lines
    assert "refined" not in submit(film, "--overwrite").stdout


def test_it_is_on_by_default_up_to_a_size(
    film: Path, transport: ComputingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*options: str) -> dict[str, Any]:
        result = invoke("submit", "--engine", "local", film, "--overwrite", "--json", *options)
        told: dict[str, Any] = json.loads(result.stdout)
        return told

    assert run()["refinement"]["asked"] == "auto"
    assert film.with_name("film.sr.sum.ome.tif").is_file()
    monkeypatch.setattr(settings, "AUTO_SR_PIXELS_MOST", 32 * 32 * 8**2 - 1)
    large = run()
    assert (large["refinement"]["stopped_by"], large["sum_image"]) == ("too large", "")
    assert any("so this one is the plain sum" in note for note in large["notes"])
    assert not film.with_name("film.sr.sum.ome.tif").exists()
    assert run("--refine", "2")["refinement"]["steps"] == 2
    assert run("--zoom", "7")["refinement"]["asked"] == "auto"


def test_without_it_all_is_as_it_was(film: Path, transport: ComputingTransport) -> None:
    _report(film, "--refine", "2")
    told = _report(film, "--refine", "off", "--overwrite")
    assert (told["refinement"], told["sum_image"]) == (None, "")
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]
    np.testing.assert_array_equal(_image(film), _plain(film))


def test_auto_keeps_the_sum_of_few_molecules(tmp_path: Path, transport: ComputingTransport) -> None:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, spots_adu(2, 24, 24), photometric="minisblack")
    told = _report(path, "--refine", "auto")
    assert 0 < told["emitters"] < MOLECULES_LEAST
    assert told["refinement"]["steps"] == 0
    assert told["refinement"]["stopped_by"] == "few molecules"
    note = "too few molecules for --refine auto (expected 1,000), so the image is the plain sum"
    assert note in told["notes"]
    np.testing.assert_array_equal(_image(path), _image(path, "film.sr.sum.ome.tif"))
    assert _report(path, "--refine", "2", "--overwrite")["refinement"]["steps"] == 2


def test_auto_keeps_the_sum_of_a_sample_without_structure(
    film: Path, transport: ComputingTransport
) -> None:
    told = _report(film, "--refine", "auto")
    assert told["emitters"] > MOLECULES_LEAST
    assert told["refinement"]["stopped_by"] == "no gain"
    assert any("foretells the other half no better" in note for note in told["notes"])
    np.testing.assert_array_equal(_image(film), _image(film, "film.sr.sum.ome.tif"))


def test_steps_that_sharpen_noise_get_a_note(film: Path, transport: ComputingTransport) -> None:
    told = _report(film, "--refine", "30")
    lost = sum(gain < 0 for gain in told["refinement"]["gain_nats_per_molecule"])
    assert lost > 0
    assert any(
        note.startswith(f"--refine 30 sharpens noise: {lost} of its") for note in told["notes"]
    )


def test_an_empty_film(tmp_path: Path, transport: ComputingTransport) -> None:
    path = tmp_path / "dark.tif"
    tifffile.imwrite(path, np.full((16, 32, 32), 100, np.uint16), photometric="minisblack")
    for refine in ("auto", "4"):
        told = _report(path, "--refine", refine, "--overwrite")
        assert told["emitters"] == 0
        assert not tifffile.imread(tmp_path / "dark.sr.ome.tif").any()


@pytest.mark.parametrize("options", [(), ("--memory", "1200MiB")])
def test_tiles_and_a_sum_in_a_file_change_no_bit(
    options: tuple[str, ...], tmp_path: Path, transport: ComputingTransport
) -> None:
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, spots_adu(8, 150, 130, spots=90), photometric="minisblack")
    for name, cut in (("whole", ()), ("cut", ("--tile-px", "96", "--chunk-frames", "1"))):
        told = _report(path, "--refine", "2", "-o", str(tmp_path / f"{name}.tif"), *cut, *options)
        assert told["refinement"]["steps"] == 2
    images = [tifffile.imread(tmp_path / f"{name}.tif") for name in ("whole", "cut")]
    np.testing.assert_array_equal(images[1], images[0])


class _Failing(ComputingTransport):
    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if request.label.startswith("frames 10 "):
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


def test_an_interrupted_run_continues(
    film: Path, transport: ComputingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    _report(film, "--refine", "3", *IN_TURN)
    expected = [_image(film), _image(film, "film.sr.sum.ome.tif")]
    take_for_local(monkeypatch, _Failing())
    assert submit(film, *IN_TURN, "--refine", "3", "--overwrite", "--quiet").exit_code == 6
    take_for_local(monkeypatch, transport)
    refused = submit(film, *IN_TURN, "--resume", "--quiet")
    assert refused.exit_code == 9
    assert "begun with precision classes 4 0.08 0.12 0.16, this run has 1" in one_line(refused)
    transport.requests.clear()
    result = submit(film, *IN_TURN, "--resume", "--refine", "3", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert len(transport.requests) == 3
    for image, name in zip(expected, ("film.sr.ome.tif", "film.sr.sum.ome.tif"), strict=True):
        np.testing.assert_array_equal(_image(film, name), image)


def test_an_engine_without_borders(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport(), class_borders_px={2: (0.1,)})
    result = submit(film, "--refine", "3", "--quiet")
    assert result.exit_code == 5
    assert "does not state the borders of its network's precision classes" in one_line(result)
    told = _report(film, "--refine", "auto")
    assert told["refinement"] is None
    np.testing.assert_array_equal(_image(film), _plain(film))


def test_values_that_are_none(film: Path, transport: ComputingTransport) -> None:
    for value, words in (("much", "refine is 'much'; expected off, auto or a"), ("0", "is 0; ex")):
        result = submit(film, "--refine", value)
        assert result.exit_code == 2
        assert words in one_line(result)
    result = submit(film, "--refine", "3", "--model", "reconstruction_map")
    assert "answers with maps, which state no precision" in one_line(result)
