"""Bars of progress: a line each, in terminals of any width, whatever the numbers and names."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import tifffile
from rich.cells import cell_len
from rich.console import Console

from fakes.films import spots_adu
from smlm_pipeline.cli.bars import Bars, duration, rate

STAGES = (
    *("opening", "starting", "reconstructing", "estimating drift", "correcting drift"),
    *("measuring resolution", "comparing with the wide field", "refining", "refining, step 100"),
    *("registering", "writing", "writing the report"),
)
SHORT, LONG = (400, 5.0, 93.7), (123_456_789, 400_000.0, 123_456.7)
"""Frames, seconds that passed, and frames a second."""


def _bars(
    width: int, names: tuple[str, ...], facts: tuple[int, float, float], share: float = 0.5
) -> list[str]:
    """The lines of bars that began some time ago."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    bars = Bars("frames", console, disable=False)
    frames, elapsed_s, speed = facts
    for name in names:
        bars.add_task(name, total=frames, completed=round(share * frames))
        task = bars.tasks[-1]
        task.start_time, task.finished_speed = bars.get_time() - elapsed_s, speed
    shown = io.StringIO()
    Console(file=shown, width=width, color_system=None).print(bars.get_renderable())
    return shown.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 80, 60, 40, 20])
@pytest.mark.parametrize("facts", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("suffix", ["", " Alexa647"])
def test_a_bar_is_one_line(
    width: int, facts: tuple[int, float, float], share: float, suffix: str
) -> None:
    for stage in STAGES:
        (line,) = _bars(width, (stage + suffix,), facts, share)
        assert cell_len(line) <= width
        if width > 20:
            assert (stage in line) is (len(stage + suffix) <= width // 2)
            assert f"{share * facts[0]:.0f}/{facts[0]}" in line


def test_a_narrow_line_leaves_out_what_matters_least() -> None:
    lines = [_bars(width, ("refining, step 7",), SHORT)[0] for width in (90, 75, 70, 60, 45)]
    found = [re.sub(" [━╸╺ ]+ ", " | ", line) for line in lines]
    assert found == [
        "refining, step 7 | 200/400 frames 94 frames/s 0:00:05 passed, -:--:-- left",
        "refining, step 7 | 200/400 frames 94/s 0:00:05 passed, -:--:-- left",
        "refining, step 7 | 200/400 frames 0:00:05 passed, -:--:-- left",
        "refining, step 7 | 200/400 frames -:--:-- left",
        "refining, step 7 | 200/400 frames",
    ]


def test_no_time_is_left_when_all_frames_are_counted() -> None:
    """Refining and writing follow; the time that passed runs on. Parts may lack a little."""
    (line,) = _bars(80, ("refining",), SHORT, share=1.0)
    assert line.endswith("400/400 frames 94 frames/s 0:00:05 passed")
    assert "left" not in line


def test_bars_of_films_side_by_side_are_alike() -> None:
    names = ("day2/a film with a long name.tif: reconstructing", "b.tif: refining, step 3")
    lines = _bars(80, names, SHORT)
    assert [cell_len(line) for line in lines] == [80, 80]
    assert lines[0].startswith("…")
    assert "long name.tif: reconstructing" in lines[0]
    assert lines[0].index("200/400") == lines[1].index("200/400")


@pytest.mark.parametrize(
    "name", ["細胞" * 30, "two\nlines\x1b[2J.tif: writing", "[red]a[/red].tif"]
)
def test_a_name_is_text_of_one_line(name: str) -> None:
    (line,) = _bars(60, (name,), SHORT)
    assert cell_len(line) <= 60
    assert "\x1b" not in line
    assert line.startswith("…" if len(name) > 30 else name[:3])


def test_numbers() -> None:
    assert [duration(each) for each in (0, 59.6, 3725, 100_000)] == [
        *("0:00:00", "0:01:00", "1:02:05", "27:46:40"),
    ]
    assert [rate(each) for each in (0.0123, 9.4, 12.3, 12_345.6)] == [
        "0.012",
        "9.4",
        "12",
        "12,346",
    ]


def _in_a_terminal(arguments: list[str], columns: int) -> str:
    """What a program writes to a terminal of so many columns."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    unset = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "RECON_SERVER"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    environment = {**kept, "TERM": "xterm-256color"}
    with subprocess.Popen(arguments, stdin=end, stdout=end, stderr=end, env=environment) as program:
        os.close(end)
        written = b""
        with contextlib.suppress(OSError):  # how Linux says that the program has ended
            while held := os.read(terminal, 1 << 16):
                written += held
    os.close(terminal)
    if program.returncode:
        raise AssertionError(f"it ended with {program.returncode}: {written.decode()}")
    return written.decode()


@pytest.mark.parametrize("columns", [80, 60])
def test_a_whole_run_keeps_to_one_line(tmp_path: Path, columns: int) -> None:
    """A bar of two lines would move the cursor up to paint the next one."""
    film, program = tmp_path / "film.tif", Path(sys.executable).with_name("recon-client")
    tifffile.imwrite(film, spots_adu(100, 64, 64), photometric="minisblack")
    asked = ["--engine", "local", "--refine", "25", "--error-map"]
    written = _in_a_terminal([str(program), "submit", str(film), *asked], columns)
    assert "\x1b[1A" not in written
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    bars = [line for line in re.split(r"[\r\n]+", plain) if "━" in line]
    assert max(map(cell_len, bars)) <= columns
    assert {"reconstructing", "refining,"} <= {line.split()[0] for line in bars}
    assert bars[-1].startswith("done ")
    assert "100/100 frames" in bars[-1]
