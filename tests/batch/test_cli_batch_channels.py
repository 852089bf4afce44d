"""``recon-client batch --channels``: the films of a night, each with two channels."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile
from typer.testing import Result

from fakes.command_line import PLAIN, invoke, names, one_line, submit, take_for_local
from fakes.transports import ComputingTransport
from smlm_bench.channels.films import Geometry, Sample, bead_film, two_channel_film
from smlm_pipeline.cli.json_output import SCHEMA_FILE
from smlm_pipeline.engines.transport import ChunkAnswer, Request

SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
OPTIONS = (
    "--pixel-size-nm",
    "100",
    "--zoom",
    "4",
    *PLAIN,
    "--quiet",
)
HALVES = ("--channels", "left,right")
FRAMES = 20


def _film(path: Path, split: str = "left,right", seed: int = 4) -> Path:
    sample = Sample("", 1.0, per_frame=8, frames=FRAMES)
    film = two_channel_film(sample, split, Geometry((2.0, -3.0)), edge_px=48, seed=seed)
    tifffile.imwrite(path, film, photometric="minisblack")
    return path


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two films of two channels, one in a folder; the engine computes by simple rules."""
    take_for_local(monkeypatch, ComputingTransport())
    folder = tmp_path / "night"
    (folder / "day2").mkdir(parents=True)
    for seed, name in enumerate(("a.tif", "day2/b.tif")):
        _film(folder / name, seed=seed)
    return folder


def batch(folder: Path, *options: str | Path) -> Result:
    asked = ("batch", folder, "-o", folder.parent / "out", "--engine", "local")
    return invoke(*asked, *OPTIONS, *options)


def record(folder: Path) -> dict[str, dict[str, Any]]:
    stated = json.loads((folder.parent / "out" / "batch.json").read_text())
    for each in stated["films"]:
        SCHEMA.validate({"schema_version": stated["schema_version"], **each})
    return {each["film"]: each for each in stated["films"]}


def states(folder: Path) -> list[str]:
    return [each["state"] for _, each in sorted(record(folder).items())]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder.parent / "out" / "batch.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_film_is_that_of_submit(night: Path) -> None:
    asked = (*HALVES, "--channel-names", "mEos,Alexa647")
    assert batch(night, *asked, "--molecules", "csv").exit_code == 0
    out, alone = night.parent / "out", night.parent / "alone"
    alone.mkdir()
    tables = ("--molecules", alone / "b.sr.csv")
    done = submit(night / "day2" / "b.tif", "-o", alone, *asked, *tables, *OPTIONS)
    assert done.exit_code == 0
    expected = ["b.sr.left.csv", "b.sr.ome.tif", "b.sr.png", "b.sr.right.csv"]
    assert names(alone) == names(out / "day2") == expected
    np.testing.assert_array_equal(
        tifffile.imread(out / "day2" / "b.sr.ome.tif"), tifffile.imread(alone / "b.sr.ome.tif")
    )
    for name in expected:
        if not name.endswith("tif"):  # which states when it was made
            assert (out / "day2" / name).read_bytes() == (alone / name).read_bytes()


def test_the_record_has_both_channels(night: Path) -> None:
    asked = (*HALVES, "--channel-names", "mEos,Alexa647", "--registration", "off")
    assert batch(night, *asked).exit_code == 0
    for each, row in zip(record(night).values(), rows(night), strict=True):
        channels = each["report"]["channels"]
        assert list(channels) == ["mEos", "Alexa647"]
        assert not any("levels" in report for report in channels.values())
        counts = [report["emitters"] for report in channels.values()]
        assert min(counts) > 10
        assert each["report"]["emitters"] == float(row["emitters"]) == sum(counts)
        assert each["report"]["frames"] == int(row["frames"]) == FRAMES
        assert (row["first_channel"], row["second_channel"]) == ("mEos", "Alexa647")
        found = [float(row["first_emitters"]), float(row["second_emitters"])]
        assert found == counts
        assert row["registered_by"] == "none"
        assert (row["pixel_size_nm"], row["sr_pixel_size_nm"]) == ("100.0", "25.0")


def test_rows_of_one_channel_have_none_of_two(night: Path) -> None:
    assert batch(night).exit_code == 0
    for row in rows(night):
        assert (row["first_channel"], row["first_emitters"], row["registered_by"]) == ("", "", "")


def test_frames_of_alternating_channels_are_those_of_both(night: Path) -> None:
    for path in (night / "a.tif", night / "day2" / "b.tif"):
        _film(path, "alternating")
    assert batch(night, "--channels", "alternating").exit_code == 0
    for each in record(night).values():
        assert [report["frames"] for report in each["report"]["channels"].values()] == [20, 20]
        assert each["report"]["frames"] == 40


def test_people_see_the_counts_of_both(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    asked = [option for option in OPTIONS if option != "--quiet"]
    out = night.parent / "out"
    done = invoke("batch", night, "-o", out, "--engine", "local", *asked, *HALVES)
    assert done.exit_code == 0
    words = done.stderr.replace("\n", " ")
    assert "emitters in 20 frames (left " in words
    assert "; not registered), " in words
    assert "; not registered" in done.stdout


def test_a_second_call_skips_what_is_done(night: Path) -> None:
    asked = (*HALVES, "--molecules", "csv")
    assert batch(night, *asked).exit_code == 0
    (night.parent / "out" / "a.sr.right.csv").unlink()
    again = batch(night, *asked, "--json")
    assert again.exit_code == 0
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    for line in lines:
        SCHEMA.validate(line)
    found = {line["film"]: line["state"] for line in lines[:-1]}
    assert found == {"a.tif": "done", "day2/b.tif": "skipped"}
    assert (night.parent / "out" / "a.sr.right.csv").is_file()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "--channels was left,right and is not given"),
        ((*HALVES, "--channel-names", "a,b"), "--channel-names was left,right and is a,b"),
        ((*HALVES, "--registration", "off"), "--registration was on and is off"),
        (("--channels", "top,bottom"), "--channels was left,right and is top,bottom"),
    ],
)
def test_other_channels_replace_nothing_unless_asked(
    night: Path, options: tuple[str, ...], reason: str
) -> None:
    assert batch(night, *HALVES).exit_code == 0
    refused = batch(night, *options)
    assert refused.exit_code == 7
    assert f"a.sr.ome.tif exists, and {reason}" in refused.stderr
    assert batch(night, *options, "--overwrite").exit_code == 0
    assert batch(night, *options).exit_code == 0


def test_beads_are_no_film_of_the_night_and_are_known_again(night: Path) -> None:
    beads, geometry = night / "beads.tif", Geometry((2.0, -3.0), 1.0)
    frames = bead_film("left,right", geometry, edge_px=48)
    tifffile.imwrite(beads, frames, photometric="minisblack")
    asked = (*HALVES, "--registration-film", beads)
    assert batch(night, *asked).exit_code == 0
    assert sorted(record(night)) == ["a.tif", "day2/b.tif"]
    assert {row["registered_by"] for row in rows(night)} == {"beads"}
    assert batch(night, *asked).exit_code == 0
    tifffile.imwrite(beads, frames[:5], photometric="minisblack")
    refused = batch(night, *asked)
    assert refused.exit_code == 7
    assert "exists, and the film of beads has changed; expected" in refused.stderr
    without = batch(night, *HALVES, "--exclude", "beads*")
    assert "exists, and --registration-film was" in without.stderr
    assert "the film of beads has changed" not in without.stderr


class _Slow(ComputingTransport):
    """Interrupts the main thread after so many answers, as Ctrl-C does, and counts them."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self._number, self._lock, self.answered = number, threading.Lock(), 0

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        with self._lock:
            if self.answered == self._number:
                os.kill(os.getpid(), signal.SIGINT)
            if self._number is not None:
                time.sleep(0.15)
            self.answered += 1
            return super().sum_chunk(request)


@pytest.mark.parametrize(("answered", "kept"), [(2, ["left"]), (6, ["left", "right"])])
def test_an_interrupted_batch_continues(
    night: Path, monkeypatch: pytest.MonkeyPatch, answered: int, kept: list[str]
) -> None:
    """In the first channel of the first film, or in the second one."""
    asked = (*HALVES, "--chunk-frames", "4", "--films-at-once", "1", "--in-flight", "1")
    take_for_local(monkeypatch, _Slow(answered))
    cut = batch(night, *asked)
    assert cut.exit_code == 130
    assert "--resume" not in cut.stderr
    out = night.parent / "out"
    assert [path.name for path in sorted(out.glob("*.checkpoint"))] == [
        f"a.sr.{half}.checkpoint" for half in kept
    ]
    one = batch(night, *asked[2:])
    assert one.exit_code == 7
    assert (
        "checkpoint exists, and --channels was left,right and is not given; expected" in one.stderr
    )
    engine = _Slow()
    take_for_local(monkeypatch, engine)
    again = batch(night, *asked, "--include", "a.tif")
    assert again.exit_code == 0, again.output
    assert 0 < engine.answered <= 10 - answered  # of five requests for each channel
    assert list(out.glob("*.checkpoint")) == []
    assert submit(night / "a.tif", "-o", night.parent / "x.tif", *HALVES, *OPTIONS).exit_code == 0
    np.testing.assert_array_equal(
        tifffile.imread(out / "a.sr.ome.tif"), tifffile.imread(night.parent / "x.tif")
    )


def test_one_film_that_has_no_two_halves_stops_no_other(night: Path) -> None:
    odd = np.zeros((FRAMES, 48, 97), np.uint16)
    tifffile.imwrite(night / "a.tif", odd, photometric="minisblack")
    assert batch(night, *HALVES).exit_code == 2
    assert states(night) == ["failed", "done"]
    assert "leave a row or column out with --roi" in record(night)["a.tif"]["reason"]
    planned = batch(night, *HALVES, "--dry-run", "--json")
    lines = [json.loads(line) for line in planned.stdout.splitlines()]
    assert [line.get("state") for line in lines[:-1]] == ["failed", "skipped"]


def test_a_dry_run_names_both_channels(night: Path) -> None:
    planned = batch(night, *HALVES, "--dry-run", "--json")
    assert planned.exit_code == 0
    first, *_ = (json.loads(line) for line in planned.stdout.splitlines())
    sizes = "20 frames of 48 x 48 pixels"
    assert first["reason"].startswith(f"left: {sizes}, right: {sizes} -> ")
    assert not (night.parent / "out").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--channels", "left"), "channels is 'left'; expected left,right"),
        (("--channel-names", "a,b"), "--channel-names is given without --channels; expected"),
        ((*HALVES, "--channel-names", "a,a"), "channel-names is a,a; expected two unlike names"),
        ((*HALVES, "--cmap", "gray"), "are for a picture of one channel; expected neither"),
        ((*HALVES, "--registration-film", "no.tif"), "there is no film of beads no.tif; expected"),
        ((*HALVES, "--offset-adu", "9"), "--offset-adu is given without --gain-adu-per-photon"),
        ((*HALVES, "--gain-adu-per-photon", "9"), "is for the table of molecules, and none is"),
    ],
)
def test_what_all_films_would_be_refused_for_is_refused_at_once(
    night: Path, options: tuple[str, ...], complaint: str
) -> None:
    refused = batch(night, *options)
    assert refused.exit_code == 2
    assert complaint in one_line(refused)
    assert not (night.parent / "out").exists()
