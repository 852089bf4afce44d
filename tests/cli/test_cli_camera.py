"""``--camera FILE``: photons by the camera that ``recon-train match`` estimated, stated as such."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fakes.command_line import invoke, names, one_line, submit, take_for_local, write_film
from fakes.image_files import described
from fakes.matched_cameras import NOT_MEASURED, write_matched
from fakes.tables import read_back
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError
from smlm_training.matching.estimates import Value

NOTE = "photons are by the camera in mine.json, which recon-train match --camera emccd estimated"
ESTIMATE = {
    "file": "mine.json",
    "film": "beads.nd2",
    "camera": "emccd",
    "gain_error_adu_per_photon": 0.2,
    "offset_error_adu": 1.5,
}
BY_HAND = ("--gain-adu-per-photon", "5", "--offset-adu", "90")


@pytest.fixture(autouse=True)
def transport(monkeypatch: pytest.MonkeyPatch) -> ComputingTransport:
    found = ComputingTransport()
    take_for_local(monkeypatch, found)
    return found


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_matched(tmp_path / "mine.json")


def test_photons_are_those_of_the_numbers(film: Path, mine: Path) -> None:
    one, two = film.with_name("one.csv"), film.with_name("two.csv")
    assert submit(film, "--molecules", one, *BY_HAND).exit_code == 0
    assert submit(film, "--molecules", two, "--camera", mine, "--overwrite").exit_code == 0
    assert one.read_bytes() == two.read_bytes()
    assert "background_photons" in read_back(two)[0].names


def test_the_estimate_is_stated_everywhere(film: Path, mine: Path) -> None:
    asked = ("--molecules", film.with_name("table.parquet"), "--camera", mine, "--report")
    done = submit(film, *asked)
    assert done.exit_code == 0, done.output
    assert f"{NOTE} from beads.nd2: gain 5 ± 0.2 ADU a photon, offset 90 ± 1.5" in done.stderr
    assert "molecules; photons by the camera in mine.json)" in done.stdout
    report = json.loads(submit(film, *asked, "--overwrite", "--json").stdout)
    assert report["molecules"]["camera_estimate"] == ESTIMATE
    assert report["molecules"]["gain_adu_per_photon"] == 5
    assert any(note.startswith(NOTE) for note in report["notes"])
    stated = described(film.with_name("film.sr.ome.tif"))
    assert stated["molecules"]["camera_estimate"] == ESTIMATE
    assert str(mine.parent) not in json.dumps(stated)
    page = film.with_name("film.sr.report.html").read_text(encoding="utf-8")
    assert "camera estimate: gain error adu per photon" in page
    assert NOTE in page
    plan = submit(film, *asked, "--overwrite", "--dry-run", "--json")
    assert any(note.startswith(NOTE) for note in json.loads(plan.stdout)["notes"])


def test_without_an_offset_the_table_has_no_background(film: Path, tmp_path: Path) -> None:
    mine, table = write_matched(tmp_path / "mine.json", offset=NOT_MEASURED), tmp_path / "t.csv"
    done = submit(film, "--molecules", table, "--camera", mine)
    assert done.exit_code == 0
    assert "no offset, so the table has no background in photons" in done.stderr
    columns = read_back(table)[0].names
    assert "photons" in columns
    assert "background_photons" not in columns


def test_a_camera_that_match_did_not_determine_is_refused(film: Path, tmp_path: Path) -> None:
    mine = write_matched(tmp_path / "mine.json", gain=NOT_MEASURED)
    refused = submit(film, "-q", "--molecules", tmp_path / "t.csv", "--camera", mine)
    assert refused.exit_code == 2
    assert "mine.json states no gain: recon-train match did not determine it" in one_line(refused)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("numbers", [BY_HAND[:2], BY_HAND[2:], BY_HAND])
def test_a_camera_and_numbers_are_refused(film: Path, mine: Path, numbers: tuple[str, ...]) -> None:
    refused = submit(film, "-q", "--molecules", "t.csv", "--camera", mine, *numbers)
    assert refused.exit_code == 2
    assert f"--camera and {numbers[0]} are both given; expected one of them" in one_line(refused)


def test_a_camera_without_a_table_is_refused(film: Path, mine: Path) -> None:
    refused = submit(film, "-q", "--camera", mine)
    assert refused.exit_code == 2
    assert "--camera is for the table of molecules, and none is asked for" in one_line(refused)


def test_an_interrupted_run_continues_with_another_camera_as_with_another_gain(
    film: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums and molecules of a checkpoint are in ADU."""
    broken = [True]

    class Failing(ComputingTransport):
        def sum_chunk(self, request: Request) -> ChunkAnswer:
            if broken[0] and request.label.startswith("frames 10 "):
                raise InferenceError("the server refused the chunk")
            return super().sum_chunk(request)

    take_for_local(monkeypatch, Failing())
    table, whole = film.with_name("table.csv"), film.with_name("whole.csv")
    asked = ("--chunk-frames", "2", "--in-flight", "1", "-q", "--molecules")
    assert submit(film, *asked, table, "--gain-adu-per-photon", "3").exit_code == 6
    broken[0] = False
    assert submit(film, *asked, table, "--camera", mine, "--resume").exit_code == 0
    assert submit(film, *asked, whole, *BY_HAND, "--overwrite").exit_code == 0
    assert table.read_bytes() == whole.read_bytes()


def _parts(film: Path, first: Path, second: Path) -> tuple[Path, Path]:
    found = list[Path]()
    for frames, camera in (("0:7", first), ("7:16", second)):
        path = film.parent.parent / f"{len(found)}.npz"
        asked = ("--molecules", film.with_name("t.csv"), "--camera", camera)
        cut = ("--chunk-frames", "3", "--frames", frames, "--partial", path, "-q")
        assert submit(film, *asked, *cut).exit_code == 0
        found.append(path)
    return found[0], found[1]


def test_parts_keep_the_camera(film: Path, mine: Path) -> None:
    merged = invoke("merge", *_parts(film, mine, mine), "--json")
    assert merged.exit_code == 0, merged.output
    mine.unlink()  # it has been read
    report = json.loads(merged.stdout)
    assert report["molecules"]["camera_estimate"] == ESTIMATE
    assert any(note.startswith(NOTE) for note in report["notes"])
    assert np.isfinite(read_back(film.with_name("t.csv"))[0]["photons"]).all()


def test_parts_with_two_cameras_are_refused(film: Path, mine: Path) -> None:
    other = write_matched(mine.with_name("other.json"), gain=Value(6.0, 0.2))
    refused = invoke("merge", *_parts(film, mine, other), "-q")
    assert refused.exit_code == 9
    assert "camera is other.json and mine.json; expected parts that differ" in refused.stderr


def test_a_batch_knows_the_camera_again(film: Path, mine: Path) -> None:
    out = film.parent.parent / "out"
    asked = ("batch", film.parent, "-o", out, "--engine", "local", "--molecules", "csv")
    assert invoke(*asked, "--camera", mine).exit_code == 0
    (made,) = json.loads((out / "batch.json").read_text())["films"]
    assert made["report"]["molecules"]["camera_estimate"] == ESTIMATE
    assert "1 skipped" in invoke(*asked, "--camera", mine).stdout
    other = write_matched(mine, gain=Value(6.0, 0.2))
    refused = invoke(*asked, "--camera", other)
    assert refused.exit_code == 7
    assert "--gain-adu-per-photon was 5.0 and is 6.0; expected" in refused.stderr


def test_an_offset_above_the_films_level_is_named(film: Path) -> None:
    """Such a background is negative; only the user knows which number is wrong."""
    asked = ("--molecules", film.with_name("t.csv"), "--gain-adu-per-photon", "5")
    for option in ((), ("--dry-run",)):
        done = submit(film, *asked, "--offset-adu", "60000", "--overwrite", *option)
        assert done.exit_code == 0, done.output
        assert "the offset of 60000 ADU is above the level of film.tif" in done.stderr
    assert "above the level" not in submit(film, *asked, *BY_HAND[2:], "--overwrite").stderr


def test_a_table_without_light_is_named_before_the_run(film: Path) -> None:
    done = submit(film, "--molecules", film.with_name("t.h5"), "--dry-run")
    assert "t.h5 will have no light and no background" in done.stderr
    done = submit(film, "--molecules", film.with_name("t.csv"), "--dry-run")
    assert "no light" not in done.stderr
