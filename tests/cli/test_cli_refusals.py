"""What ``recon-client`` cannot do ends in one line, an exit code and no half-written file."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import pytest
import tifffile

from fakes.command_line import invoke, names, one_line, submit, take_for_local, write_film
from fakes.transports import ComputingTransport
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError, OutputError, TransientServerError
from smlm_pipeline.run import dispatch
from smlm_pipeline.submission import submit as submission


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


@pytest.mark.parametrize("size", ["0", "0.108", "9.9", "1001", "108000", "-100", "nan", "inf"])
def test_absurd_pixel_size(film: Path, size: str) -> None:
    result = submit(film, "--pixel-size-nm", size)
    assert result.exit_code == 2
    assert "pixel-size-nm is" in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize(
    ("size", "question"),
    [
        ("0.108", "in nm: did you mean 108? 0.108 is that size in \u00b5m"),
        ("6500", "6.5 \u00b5m is the size on a camera's chip; divide it by the magnification"),
    ],
)
def test_pixel_size_in_another_unit_is_asked_about(film: Path, size: str, question: str) -> None:
    """It is refused, since there may be no one to answer."""
    result = submit(film, "--pixel-size-nm", size)
    assert result.exit_code == 2
    assert question in one_line(result)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--zoom", "0", "zoom is 0; expected a whole number from 1 to 64"),
        ("--chunk-frames", "1025", "chunk-frames is 1025; expected a whole number from 1 to 1024"),
        ("--in-flight", "0", "in-flight is 0; expected"),
        ("--tile-px", "66", "tile is 66 pixels; expected a multiple of 4"),
        (
            *("--model", "mine"),
            "--engine local has no model 'mine'; expected one of reconstruction, reconstruction_",
        ),
    ],
)
def test_wrong_value(film: Path, option: str, value: str, words: str) -> None:
    result = submit(film, option, value)
    assert result.exit_code == 2
    assert words in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("arguments", [["--engine", "local"], ["--server", "localhost:1"], []])
def test_a_map_of_another_zoom(film: Path, arguments: list[str]) -> None:
    """Whatever the engine, none is opened."""
    asked = ["--model", "reconstruction_map", "--zoom", "5", *arguments]
    result = invoke("submit", film, *asked)
    assert result.exit_code == 2
    assert "zoom is 5; expected 8, the zoom of reconstruction_map" in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("name", ["triton", "local"])
def test_a_server_that_is_called_as_an_engine(film: Path, name: str) -> None:
    """No other engine is taken for it."""
    result = invoke("submit", film, "--server", name)
    assert result.exit_code == 2
    assert f"server is {name!r}" in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "film.tif", "--zooom", "8"],
        ["submit", "film.tif", "--zoom", "many"],
        ["submit", "film.tif", "--engine", "steam"],
        ["serve", "--port", "70000"],
        ["reconstruct"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("silence", [[], ["--quiet"]])
def test_a_film_that_is_none(film: Path, silence: list[str]) -> None:
    film.write_text("x,y\n1,2\n")
    result = submit(film, *silence)
    assert result.exit_code == 3
    assert "film.tif is not a TIFF file" in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("silence", [[], ["--quiet"]])
def test_a_film_that_is_not_there(tmp_path: Path, silence: list[str]) -> None:
    """Not even its folder: it is the film that is refused, not where its image would go."""
    result = submit(tmp_path / "no" / "film.tif", *silence)
    assert result.exit_code == 3
    assert "film.tif does not exist" in one_line(result)


def test_film_is_not_overwritten(film: Path) -> None:
    before = film.read_bytes()
    for output in (film, film.parent / ".." / film.parent.name / "film.tif"):
        result = submit(film, "-o", output)
        assert result.exit_code == 2
        assert "would replace the film; choose another name" in one_line(result)
    assert film.read_bytes() == before
    assert names(film.parent) == ["film.tif"]


def test_image_does_not_go_among_the_films_files(film: Path) -> None:
    folder = film.with_name("frames")
    folder.mkdir()
    for index, frame in enumerate(tifffile.imread(film)):
        tifffile.imwrite(folder / f"{index}.tif", frame)
    for output in (folder, folder / "out.tif"):
        result = submit(folder, "-o", output, "--pixel-size-nm", "100")
        assert result.exit_code == 2
        assert "would be among the files of the film" in one_line(result)
    assert submit(folder, "--quiet").exit_code == 0
    assert names(film.parent) == ["film.tif", "frames", "frames.sr.ome.tif", "frames.sr.png"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--frames", "10", "frames is '10'; expected A:B"),
        ("--frames", "10:99", "frames is 10:99; expected numbers up to 16"),
        ("--roi", "0,0,33,16", "expected a region inside the 32 x 32 pixels"),
        ("--roi", "0,0", "roi is '0,0'; expected x,y,w,h"),
        ("--channel", "1", "channel is 1; expected 0 to 0"),
        ("--time-axis", "w", "time-axis is 'W'; expected one of"),
        ("--memory", "lots", "memory is 'lots'; expected a size such as 4GiB"),
        ("--memory", "100MiB", "memory is 100 MiB; frames of 32 x 32 pixels need at least"),
    ],
)
def test_a_part_that_is_not_there(film: Path, option: str, value: str, words: str) -> None:
    result = submit(film, option, value)
    assert result.exit_code == 2
    assert words in one_line(result)
    assert names(film.parent) == ["film.tif"]


def test_a_region_below_the_minimum(film: Path) -> None:
    result = submit(film, "--roi", "0,0,32,8")
    assert result.exit_code == 3
    assert "has frames of 8 x 32 pixels" in one_line(result)


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.tif.zip"])
def test_output_of_another_kind(film: Path, name: str) -> None:
    result = submit(film, "-o", film.with_name(name))
    assert result.exit_code == 2
    message = one_line(result)
    assert "output is" in message
    assert ".ome.tif" in message
    assert names(film.parent) == ["film.tif"]


def test_folder_that_is_not_there(film: Path) -> None:
    result = submit(film, "-o", film.parent / "no" / "out.tif")
    assert result.exit_code == 7
    assert "cannot be written: there is no such folder; create it first" in one_line(result)
    assert names(film.parent) == ["film.tif"]


def test_repository_that_is_none(film: Path) -> None:
    result = submit(film, "--model-repository", film.parent, "--quiet")
    assert result.exit_code == 2
    assert "no model repository at" in one_line(result)
    assert names(film.parent) == ["film.tif"]


# --- failures on the way --------------------------------------------------------------------


class _Failing(ComputingTransport):
    """Answers two chunks of five frames and fails at what follows."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if "frames 10" in request.label:
            raise self._error
        return super().sum_chunk(request)


class _Wrong(ComputingTransport):
    """Answers with a sum of a larger image, or over one frame less."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self._change = change

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        answer = super().sum_chunk(request)
        if self._change == "zoom":
            larger = dataclasses.replace(request.window, zoom=2 * request.window.zoom)
            return super().sum_chunk(dataclasses.replace(request, window=larger))
        return ChunkAnswer(answer.sums, answer.frame_count - 1)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InferenceError("the server refused the chunk"), 6, "the server refused the chunk"),
        (TransientServerError("the server did not answer"), 4, "the server did not answer"),
        (OutputError("the disk is full"), 7, "the disk is full"),
        (ZeroDivisionError("oops [/]"), 1, "unexpected ZeroDivisionError: oops [/]; please report"),
    ],
)
def test_a_failure_leaves_no_image_but_what_was_summed(
    film: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_S", 0.001)
    take_for_local(monkeypatch, _Failing(error))
    result = submit(film, "--quiet", "--chunk-frames", "5")
    assert result.exit_code == code
    assert words in one_line(result)
    assert names(film.parent) == ["film.sr.checkpoint", "film.tif"]


@pytest.mark.parametrize("change", ["zoom", "frames"])
def test_a_wrong_sum_leaves_nothing(
    film: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """An engine that answers something else than was asked for is not believed."""
    take_for_local(monkeypatch, _Wrong(change))
    result = submit(film, "--quiet")
    assert result.exit_code == 6
    assert "chunk 0 came back with" in one_line(result)
    assert names(film.parent) == ["film.tif"]


class _Signalled(ComputingTransport):
    """Sends this process a signal with each chunk, and continues as if nothing were."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        os.kill(os.getpid(), self._number)
        return super().sum_chunk(request)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "recon-client: interrupted; nothing is half-written\n"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_a_signal_leaves_nothing(
    film: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int, words: str
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    take_for_local(monkeypatch, _Signalled(number))
    result = submit(film, "--quiet", "--pixel-size-nm", "100")
    assert (result.exit_code, result.output) == (code, words)
    assert names(film.parent) == ["film.tif"]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_library_that_makes_its_own_errors_of_all_others_does_not_swallow_a_signal() -> None:
    def as_keras_does() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            raise type(error)("in its own words") from error

    with pytest.raises(SystemExit) as ended, door():
        as_keras_does()
    assert ended.value.code == 143


def test_a_picture_that_fails_leaves_the_image(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of computing is not thrown away for it; the exit code tells."""

    def fail(path: Path, *_: object, **__: object) -> None:
        raise OutputError(f"{path} cannot be written: the disk is full")

    monkeypatch.setattr(submission, "write_picture", fail)
    result = submit(film, "--quiet")
    assert result.exit_code == 7
    assert "film.sr.png cannot be written: the disk is full" in one_line(result)
    assert names(film.parent) == ["film.sr.checkpoint", "film.sr.ome.tif", "film.tif"]
    assert tifffile.imread(film.with_name("film.sr.ome.tif")).shape == (256, 256)
    monkeypatch.undo()
    assert submit(film, "--quiet", "--resume").exit_code == 0
    assert names(film.parent) == ["film.sr.ome.tif", "film.sr.png", "film.tif"]
