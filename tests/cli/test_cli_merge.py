"""``submit --partial`` and ``merge``: the bits of one run, and the refusal of what is not one."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke, names, submit, take_for_local, write_film
from fakes.films import damage, spots_adu
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run import partial_file

IN_TURN = ("--chunk-frames", "3", "--in-flight", "1")
"""Six requests for the film of 16 frames, one after the other."""

ALL = ("--refine", "3", "--resolution", "--drift", "auto", "--gain-adu-per-photon", "2")


class _Failing(ComputingTransport):
    """Answers, but for requests whose label begins so."""

    def __init__(self, *labels: str) -> None:
        super().__init__()
        self._labels = labels

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if request.label.startswith(self._labels):
            raise InferenceError("the server refused the chunk")
        return super().sum_chunk(request)


@pytest.fixture(autouse=True)
def transport(monkeypatch: pytest.MonkeyPatch) -> ComputingTransport:
    computing = ComputingTransport()
    take_for_local(monkeypatch, computing)
    return computing


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return write_film(tmp_path / "run" / "film.tif")


def _part(film: Path, frames: str, name: str, *options: str | Path) -> Path:
    path = film.parent.parent / f"{name}.npz"
    arguments = (*IN_TURN, "--frames", frames, "--partial", path, "--quiet", *options)
    result = submit(film, *arguments)
    assert result.exit_code == 0, result.stderr
    return path


def _two(film: Path, *options: str | Path) -> tuple[Path, Path]:
    return _part(film, "0:7", "a", *options), _part(film, "7:16", "b", *options)


def _refused(*arguments: str | Path) -> str:
    result = invoke("merge", *arguments, "--quiet")
    assert result.exit_code == 9
    return " ".join(result.stderr.split())


def _pixels(path: Path) -> NDArray[Any]:
    return np.asarray(tifffile.imread(path))


def _numbers(path: Path) -> dict[str, Any]:
    """The numbers of a report, without names of files and times."""
    facts: dict[str, Any] = json.loads(path.read_text())
    report = facts.pop("report")
    compared = report["error_map"]["rsp"], report["error_map"]["rse_adu"], report["checks"]
    return {**facts, "compared": compared}


@pytest.mark.parametrize("cuts", [("0:7", "7:16"), ("2/3", "1/3", "0/3"), (":5", "5:6", "6:")])
def test_the_merged_image_is_that_of_one_run(
    film: Path, cuts: tuple[str, ...], transport: ComputingTransport
) -> None:
    one = film.with_name("one.tif")
    assert submit(film, *IN_TURN, "-o", one, "-q").exit_code == 0
    count = len(transport.requests)
    parts = [_part(film, cut, f"part{number}") for number, cut in enumerate(cuts)]
    assert len(transport.requests) == count, "the parts send what the one run sent"
    transport.requests.clear()
    result = invoke("merge", *parts, "--json")
    assert result.exit_code == 0, result.stderr
    assert not transport.requests
    told = json.loads(result.stdout)
    assert told["image"] == str(film.with_name("film.sr.ome.tif"))
    assert (told["frames"], told["missing"], told["engine"]) == (16, [], "a fake")
    np.testing.assert_array_equal(_pixels(film.with_name("film.sr.ome.tif")), _pixels(one))
    assert _pixels(one).sum() > 1


def test_all_that_follows_the_sum_has_the_same_bits(film: Path) -> None:
    for name in ("one", "all"):
        (film.parent / name).mkdir()
    one, merged = (film.parent / name / "x.tif" for name in ("one", "all"))
    tables = [path.with_name("m.csv") for path in (one, merged)]
    asked = (*ALL, "--molecules", tables[0])
    assert submit(film, *IN_TURN, *asked, "-o", one, "-q").exit_code == 0
    parts = _two(film, *asked)
    result = invoke("merge", *parts, "-o", merged, "--molecules", tables[1], "-q")
    assert result.exit_code == 0, result.stderr
    assert names(one.parent) == names(merged.parent)
    assert {"x.sum.ome.tif", "m.csv"} < set(names(one.parent))
    for name in names(one.parent):
        if name.endswith("tif"):
            first, second = (_pixels(path.with_name(name)) for path in (one, merged))
            np.testing.assert_array_equal(first, second)
        else:
            assert one.with_name(name).read_bytes() == merged.with_name(name).read_bytes()


def test_error_map_and_report_are_those_of_one_run(film: Path) -> None:
    (film.parent / "all").mkdir()
    one, merged = film.with_name("x.tif"), film.parent / "all" / "x.tif"
    assert submit(film, *IN_TURN, "--report", "-o", one, "-q").exit_code == 0
    parts = _part(film, ":7", "a", "--report"), _part(film, "7:", "b", "--report")
    result = invoke("merge", *parts, "-o", merged, "--json")
    assert result.exit_code == 0, result.stderr
    assert names(merged.parent) == [name for name in names(one.parent) if name.startswith("x")]
    for name in ("x.error.tif", "x.widefield.tif"):
        first, second = (_pixels(path.with_name(name)) for path in (one, merged))
        np.testing.assert_array_equal(first, second)
    assert _numbers(one.with_name("x.report.json")) == _numbers(merged.with_name("x.report.json"))
    assert "report is False and True" in _refused(parts[0], _part(film, "7:", "c", "--error-map"))


def test_a_part_tells_what_it_is(film: Path) -> None:
    path = film.with_name("part.npz")
    asked = (*IN_TURN, "--frames", "1/4", "--partial", path)
    told = json.loads(submit(film, *asked, "--json").stdout)
    assert (told["part"], told["frames"], told["frames_of_film"]) == (str(path), [4, 8], 16)
    assert told["requests"] == 1, "frames 6 to 8 alone: 3 to 5 begin in the part before"
    assert names(film.parent) == ["film.tif", "part.npz"]
    assert np.load(path)["sum"].dtype == np.int64
    again = submit(film, *asked)
    assert again.exit_code == 7
    assert "choose one with --partial" in " ".join(again.stderr.split())
    text = submit(film, *asked, "--overwrite").stdout
    assert "(frames 4 to 8 of 16, 1 requests)" in " ".join(text.split())
    other = film.with_name("other.npz")
    planned = json.loads(submit(film, *asked, "--partial", other, "--dry-run", "--json").stdout)
    assert (planned["requests"], planned["part"]) == (1, str(other))


def test_more_parts_than_requests_merge_too(film: Path) -> None:
    parts = [_part(film, f"{number}/9", f"p{number}") for number in range(9)]
    assert invoke("merge", *parts, "-q").exit_code == 0
    assert _pixels(film.with_name("film.sr.ome.tif")).sum() > 1


def test_a_part_that_is_there_is_done_when_its_task_starts_again(
    film: Path, transport: ComputingTransport
) -> None:
    part = _part(film, "0/2", "parts/0")
    transport.requests.clear()
    before = part.read_bytes()
    _part(film, "0/2", "parts/0", "--resume")
    assert not transport.requests
    assert part.read_bytes() == before
    asked = (*IN_TURN, "--frames", "0/2", "--partial", part, "--resume")
    told = json.loads(submit(film, *asked, "--json").stdout)
    assert (told["requests"], told["frames"], told["part"]) == (3, [0, 8], str(part))
    assert submit(film, *asked, "--refine", "auto").exit_code == 7
    assert submit(film, *asked, "--frames", "0:9").exit_code == 7
    _part(film, "1/2", "parts/1")
    assert invoke("merge", part.parent, "-q").exit_code == 0, "of a folder"
    (film.parent / "none").mkdir()
    assert "has no files in .npz" in _refused(film.parent / "none")


def test_a_part_continues_from_its_checkpoint(
    film: Path, monkeypatch: pytest.MonkeyPatch, transport: ComputingTransport
) -> None:
    part = film.with_name("b.npz")
    asked = (*IN_TURN, "--frames", "7:16", "--partial", part)
    take_for_local(monkeypatch, _Failing("frames 12 "))
    assert submit(film, *asked).exit_code == 6
    assert names(film.parent) == ["b.checkpoint", "film.tif"]
    take_for_local(monkeypatch, transport)
    other = submit(film, *IN_TURN, "--frames", "4:16", "--partial", part, "--resume")
    assert other.exit_code == 9
    result = submit(film, *asked, "--resume")
    assert "continuing from b.checkpoint: 1 of 3 requests are done" in result.stderr
    assert invoke("merge", part, _part(film, "0:7", "a"), "-q").exit_code == 0


def test_gaps_and_overlaps_are_refused(film: Path) -> None:
    first, second = _two(film)
    other = _part(film, "5:9", "c")
    assert "frames 7 to 15 are in no part" in _refused(first)
    assert "frames 0 to 6 are in no part" in _refused(second)
    assert "share frames 0 to 6" in _refused(first, first, second)
    assert "share frames 5 to 6" in _refused(first, other, second)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--zoom", "4"), "zoom is 8 and 4"),
        (("--refine", "auto"), "chunk frames is 3 and 2"),
        (("--drift", "auto"), "drift is off and auto"),
        (("--roi", "0,0,24,24"), "the film is"),
        (("--pixel-size-nm", "80"), "pixel-size-nm is"),
        (("--molecules", "x.csv"), "molecules is"),
        (("--chunk-frames", "2"), "chunk frames is 3 and 2"),
    ],
)
def test_parts_of_other_runs_are_refused(film: Path, options: tuple[str, ...], told: str) -> None:
    parts = _part(film, "0:7", "a", *options), _part(film, "7:16", "b")
    assert told in _refused(*parts)


def test_parts_of_another_film_and_release_are_refused(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _two(film)
    tifffile.imwrite(film, spots_adu(16, 32, 32)[::-1], photometric="minisblack")
    assert "the film has changed" in _refused(first, second)
    assert "the film is" in _refused(first, _part(film, "7:16", "c"))
    film.unlink()
    assert "is not there, the film of" in _refused(first, second)
    write_film(film)
    monkeypatch.setattr("smlm_pipeline.run.identity.SOFTWARE", "smlm-recon 9")
    assert "merge with the release that made it" in _refused(first, second)
    assert "software is" in _refused(first, _part(film, "7:16", "d"))


def test_a_film_that_was_moved_is_named(film: Path, tmp_path: Path) -> None:
    parts = _two(film)
    moved = tmp_path / "moved.tif"
    shutil.move(film, moved)
    assert invoke("merge", *parts, "--film", moved, "-q").exit_code == 0
    assert moved.with_name("moved.sr.ome.tif").is_file()


def test_what_failed_for_good_is_missing_from_the_merged_image(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, _Failing("frames 3 "))
    first = film.parent.parent / "a.npz"
    asked = (*IN_TURN, "--frames", "0:7", "--partial", first, "--allow-partial", "--json")
    told = json.loads(submit(film, *asked).stdout)
    assert [each["frames"] for each in told["missing"]] == [[3, 6]]
    second = _part(film, "7:16", "b")
    result = invoke("merge", first, second)
    assert "3 of 16 frames are missing" in " ".join(result.stderr.split())
    assert "a.npz lacks it: the server refused the chunk" in " ".join(result.stderr.split())
    stated = described(film.with_name("film.sr.ome.tif"))["missing"]
    assert [each["frames"] for each in stated] == [[3, 6]]


def test_damaged_frames_are_missing_too(film: Path) -> None:
    tifffile.imwrite(film, tifffile.imread(film), photometric="minisblack", compression="zlib")
    damage(film, 8)
    parts = _two(film, "--allow-partial")
    assert invoke("merge", *parts, "-q").exit_code == 0
    stated = described(film.with_name("film.sr.ome.tif"))["missing"]
    assert [each["frames"] for each in stated] == [[6, 9]]


def test_damaged_parts_are_refused(film: Path, tmp_path: Path) -> None:
    first, second = _two(film)
    whole = first.read_bytes()
    for place in (len(whole) // 2, len(whole) // 4):
        first.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        assert "damaged" in _refused(first, second)
    first.write_bytes(whole[:-40])
    assert "damaged" in _refused(first, second)
    first.write_bytes(whole)
    faults: list[dict[str, Any]] = [{"format": 7}, {"frames": "all"}, {"merged": [[0, 99]]}]
    for wrong in (*faults, {"engine": {}}):
        with zipfile.ZipFile(first) as archive, zipfile.ZipFile(tmp_path / "w.npz", "w") as copy:
            facts = json.loads(archive.read("part.json"))
            copy.writestr("part.json", json.dumps({**facts, **wrong}))
            copy.writestr("sum.npy", archive.read("sum.npy"))
        told = _refused(tmp_path / "w.npz", second)
        assert "another release" in told or "damaged" in told
    assert "is not there; expected a part" in _refused(tmp_path / "none.npz")


def test_facts_that_would_fill_the_memory_are_not_read(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _two(film)
    monkeypatch.setattr(partial_file, "FACTS_BYTES_MAX", 100)
    assert "damaged" in _refused(first, second)


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ("3/3", "expected I/N with I from 0 to N - 1"),
        ("0:8:2", "expected A:B with --partial"),
        ("0:17", "expected numbers up to 16"),
        ("soon", "expected A:B"),
    ],
)
def test_frames_that_are_no_part_are_refused(film: Path, frames: str, told: str) -> None:
    result = submit(film, "--frames", frames, "--partial", film.with_name("p.npz"))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_options_that_cannot_be_met_are_refused(film: Path) -> None:
    result = submit(film, "--partial", film.with_name("p.tif"))
    assert (result.exit_code, "expected a name in .npz" in result.stderr) == (2, True)
    assert submit(film, "--frames", "0/2").exit_code == 2, "without --partial"
    parts = _two(film)
    result = invoke("merge", *parts, "--molecules", film.with_name("m.csv"))
    assert (result.exit_code, "the parts keep no molecules" in result.stderr) == (2, True)
