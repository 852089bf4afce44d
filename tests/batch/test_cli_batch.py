"""``recon-client batch``: outcomes, records, exit codes, and what a second call does."""

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

from fakes.command_line import invoke, one_line, submit, take_for_local, write_film
from fakes.transports import ComputingTransport
from smlm_pipeline.cli.json_output import SCHEMA_FILE
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, ServerError

SCHEMA = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three films, one in a folder; the engine computes by simple rules."""
    take_for_local(monkeypatch, ComputingTransport())
    folder = tmp_path / "night"
    (folder / "day2").mkdir(parents=True)
    for name in ("a.tif", "b.tif", "day2/c.tif"):
        write_film(folder / name)
    return folder


def batch(folder: Path, *options: str | Path) -> Result:
    return invoke("batch", folder, "-o", folder.parent / "out", "--engine", "local", *options)


def record(folder: Path) -> dict[str, dict[str, Any]]:
    """The outcomes in ``batch.json``, by the names of the films."""
    stated = json.loads((folder.parent / "out" / "batch.json").read_text())
    for each in stated["films"]:
        SCHEMA.validate({"schema_version": stated["schema_version"], **each})
    return {each["film"]: each for each in stated["films"]}


def states(folder: Path) -> dict[str, str]:
    return {name: each["state"] for name, each in record(folder).items()}


def image(folder: Path, name: str) -> Any:
    return tifffile.imread(folder.parent / "out" / name)


def test_all_films_of_a_folder(night: Path) -> None:
    result = batch(night)
    assert result.exit_code == 0, result.output
    assert states(night) == {"a.tif": "done", "b.tif": "done", "day2/c.tif": "done"}
    assert submit(night / "day2" / "c.tif", "-o", night.parent / "alone.tif").exit_code == 0
    np.testing.assert_array_equal(
        image(night, "day2/c.sr.ome.tif"), tifffile.imread(night.parent / "alone.tif")
    )
    assert "3 films: 3 done" in result.stdout
    assert "a.tif does not state its pixel size; assuming 100 nm" in result.stderr


def test_one_bad_film_stops_no_other(night: Path) -> None:
    (night / "a.tif").write_text("no film")
    result = batch(night, "--quiet")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "[1/3] a.tif: failed: " in result.stderr
    assert "b.tif: done" not in result.stderr
    assert "b.tif does not state its pixel size" in result.stderr
    assert states(night) == {"a.tif": "failed", "b.tif": "done", "day2/c.tif": "done"}
    with (night.parent / "out" / "batch.csv").open() as file:
        rows = {row["film"]: row for row in csv.DictReader(file)}
    assert (rows["a.tif"]["state"], rows["a.tif"]["exit_code"]) == ("failed", "3")
    assert "is not a TIFF file" in rows["a.tif"]["reason"]
    assert int(rows["b.tif"]["frames"]) == 16
    assert float(rows["b.tif"]["emitters"]) > 0


def test_a_second_call_skips_what_is_done(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (night / "a.tif").write_text("no film")
    assert batch(night).exit_code == 3
    made = (night.parent / "out" / "b.sr.ome.tif").stat().st_mtime_ns
    write_film(night / "a.tif")
    again = batch(night, "--attempts", "3", "--films-at-once", "1")
    assert again.exit_code == 0, again.output
    assert "3 films: 1 done, 2 skipped (done before)" in again.stdout
    assert (night.parent / "out" / "b.sr.ome.tif").stat().st_mtime_ns == made
    assert set(states(night).values()) == {"done"}

    def no_engine(*_: object, **__: object) -> None:
        raise ServerError("there is nothing to do, and an engine is opened")

    monkeypatch.setattr(opening, "local_engine", no_engine)
    assert batch(night).exit_code == 0


def test_a_film_that_changed_or_whose_image_is_lost_is_done_again(night: Path) -> None:
    assert batch(night).exit_code == 0
    (night.parent / "out" / "a.sr.png").unlink()
    result = batch(night)
    assert result.exit_code == 0
    assert "1 done, 2 skipped" in result.stdout
    tifffile.imwrite(night / "b.tif", tifffile.imread(night / "a.tif")[:8])
    changed = batch(night)
    assert changed.exit_code == 7
    assert "b.sr.ome.tif exists, and the film has changed; expected" in changed.stderr


def test_other_settings_replace_nothing_unless_asked(night: Path) -> None:
    assert batch(night).exit_code == 0
    refused = batch(night, "--zoom", "4")
    assert refused.exit_code == 7
    assert "a.sr.ome.tif exists, and --zoom was 8 and is 4; expected" in refused.stderr
    assert image(night, "a.sr.ome.tif").shape == (256, 256)
    assert "3 skipped" in batch(night).stdout
    assert batch(night, "--zoom", "4", "--overwrite").exit_code == 0
    assert image(night, "a.sr.ome.tif").shape == (128, 128)
    assert "3 skipped" in batch(night, "--zoom", "4").stdout


def test_a_result_of_another_program_is_kept(night: Path) -> None:
    theirs = night.parent / "out" / "a.sr.ome.tif"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    result = batch(night)
    assert result.exit_code == 7
    assert "a.sr.ome.tif exists, and it is not of this batch; expected" in result.stderr
    assert theirs.read_text() == "theirs"
    assert states(night)["b.tif"] == "done"


class Slow(ComputingTransport):
    """Interrupts the main thread at the third request, as Ctrl-C does; others take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        with self.lock:
            if len(self.requests) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.15)
            return super().sum_chunk(request)


def test_interrupted_batch_continues(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--chunk-frames", "1", "--films-at-once", "1", "--in-flight", "1")
    take_for_local(monkeypatch, Slow())
    cut = batch(night, *options)
    assert cut.exit_code == 130
    assert "the same command continues" in cut.stderr
    assert "--resume" not in cut.stderr
    assert states(night) == {"a.tif": "failed"}
    assert record(night)["a.tif"]["exit_code"] == 130
    assert (night.parent / "out" / "a.sr.checkpoint").is_file()
    engine = ComputingTransport()
    take_for_local(monkeypatch, engine)
    assert batch(night, *options).exit_code == 0
    assert set(states(night).values()) == {"done"}
    assert len(engine.requests) == 16  # labels of requests; those of the first film are fewer
    assert submit(night / "a.tif", "-o", night.parent / "alone.tif").exit_code == 0
    alone = tifffile.imread(night.parent / "alone.tif")
    np.testing.assert_array_equal(image(night, "a.sr.ome.tif"), alone)


def test_killed_after_the_image_was_written(night: Path) -> None:
    """The record still has the film as begun; it is done again."""
    assert batch(night).exit_code == 0
    path = night.parent / "out" / "batch.json"
    stated = json.loads(path.read_text())
    stated["films"][0] |= {"state": "failed", "report": None}
    path.write_text(json.dumps(stated))
    result = batch(night)
    assert result.exit_code == 0
    assert "1 done, 2 skipped" in result.stdout


def test_films_run_side_by_side(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    class Pair(ComputingTransport):
        def sum_chunk(self, request: Request) -> ChunkAnswer:
            both.wait(20)  # for a request of another film
            return super().sum_chunk(request)

    (night / "day2" / "c.tif").unlink()
    take_for_local(monkeypatch, Pair())
    assert batch(night, "--films-at-once", "2").exit_code == 0


def test_engine_that_cannot_be_opened(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ServerError("there is no engine; expected one")

    monkeypatch.setattr(opening, "local_engine", fail)
    result = batch(night)
    assert result.exit_code == 4
    assert "3 films: 3 not started" in result.stdout
    assert "a.tif: not started: there is no engine; expected one" in result.stderr


def test_engine_that_fails_is_opened_again(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(ComputingTransport):
        alive = False

        def sum_chunk(self, request: Request) -> ChunkAnswer:
            if not self.alive:
                raise ServerError("the server is gone")
            return super().sum_chunk(request)

    engine, opened = Dying(), list[bool]()
    take_for_local(monkeypatch, engine)
    original = opening.local_engine

    def count(*arguments: Any, **options: Any) -> Any:
        engine.alive = bool(opened)
        opened.append(True)
        return original(*arguments, **options)

    monkeypatch.setattr(opening, "local_engine", count)
    result = batch(night, "--films-at-once", "1")
    assert result.exit_code == 4
    assert list(states(night).values()) == ["failed", "done", "done"]
    assert len(opened) == 2


def test_a_chunk_that_fails_is_of_its_film(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(ComputingTransport):
        def sum_chunk(self, request: Request) -> ChunkAnswer:
            if not self.requests:
                self.requests["refused"] = request
                raise InferenceError("the server refused it")
            return super().sum_chunk(request)

    take_for_local(monkeypatch, Refusing())
    assert batch(night, "--films-at-once", "1").exit_code == 6
    assert list(states(night).values()) == ["failed", "done", "done"]


def test_json_lines(night: Path) -> None:
    (night / "a.tif").write_text("no film")
    result = batch(night, "--json", "--films-at-once", "1", "--pixel-size-nm", "100")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    for line in lines:
        SCHEMA.validate(line)
    assert [line.get("state") for line in lines] == ["failed", "done", "done", None]
    assert lines[1]["report"]["frames"] == 16
    assert lines[-1]["summary"]["failed"] == 1
    assert lines[-1]["summary"]["exit_code"] == result.exit_code == 3
    assert [line for line in result.stderr.splitlines() if "failed" not in line] == []


def test_dry_run_writes_nothing(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    (night / "a.tif").write_text("no film")
    result = batch(night, "--dry-run")
    assert result.exit_code == 3
    assert "16 frames of 32 x 32 pixels -> " in result.stdout
    assert "1 failed, 2 planned" in result.stdout
    assert not (night.parent / "out").exists()


@pytest.mark.parametrize("columns", [60, 100])
def test_the_table_keeps_to_the_width_that_is_stated(
    night: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (night / "a.tif").write_text("no film")
    monkeypatch.setenv("COLUMNS", str(columns))
    table = [line for line in batch(night, "--dry-run").stdout.splitlines() if line[:1] in "┏┃┡│└"]
    assert len(table) > 5
    assert max(map(len, table)) <= columns


def test_a_mistyped_folder_is_refused_before_the_first_film(night: Path) -> None:
    refused = batch(night, night.parent / "nihgt", "--quiet")
    assert refused.exit_code == 2
    assert f"there is no {night.parent / 'nihgt'}; expected" in one_line(refused)
    assert not (night.parent / "out").exists()
    failure = json.loads(batch(night, night.parent / "nihgt", "--json").stdout)
    SCHEMA.validate(failure)
    assert (failure["failure"]["error"], failure["failure"]["exit_code"]) == ("SettingError", 2)


def test_a_list_with_a_film_that_is_missing_fails_for_that_film(night: Path) -> None:
    listed = night / "films.txt"
    listed.write_text("a.tif\nmissing.tif\nb.tif\n")
    out = night.parent / "out"
    assert invoke("batch", listed, "-o", out, "--engine", "local", "-q").exit_code == 3
    assert states(night) == {"a.tif": "done", "missing.tif": "failed", "b.tif": "done"}


def test_tables_of_molecules(night: Path) -> None:
    assert batch(night, "--molecules", "csv").exit_code == 0
    assert (night.parent / "out" / "day2" / "c.sr.csv").read_text().startswith('"id","frame"')
    wrong = batch(night, "--molecules", "xlsx")
    assert wrong.exit_code == 2


def test_options_are_those_of_submit(night: Path) -> None:
    assert batch(night, "--frames", "2:10", "--pixel-size-nm", "80", "--zoom", "4").exit_code == 0
    report = record(night)["a.tif"]["report"]
    assert (report["frames"], report["sr_pixel_size_nm"]) == (8, 20)
    question = batch(night, "--pixel-size-nm", "0.108")
    assert question.exit_code == 2
    assert "did you mean 108?" in question.stderr


@pytest.mark.parametrize("text", ["{", '{"schema_version": 99, "films": []}', "[]"])
def test_record_that_is_none(night: Path, text: str) -> None:
    out = night.parent / "out"
    out.mkdir()
    (out / "batch.json").write_text(text)
    result = batch(night)
    assert result.exit_code == 7
    assert "batch.json is not the record of a batch that this release can read" in result.stderr
    assert (out / "batch.json").read_text() == text
