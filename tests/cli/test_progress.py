"""Events on the terminal: notes for those who want them, warnings for everyone, and a bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from smlm_pipeline.cli import progress
from smlm_pipeline.cli.progress import LINES_EVERY_S, ProgressLines, TerminalEvents

SAID = "recon-client: a share [not markup] is slow\n"


@pytest.mark.parametrize(("quiet", "expected"), [(False, 2 * SAID), (True, SAID)])
def test_quiet_silences_notes_and_no_warnings(
    quiet: bool, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with TerminalEvents("recon-client", quiet=quiet) as events:
        events.note("a share [not markup] is slow")
        events.warning("a share [not markup] is slow")
    assert capsys.readouterr() == ("", expected)


def test_the_bar_is_full_at_the_end_whatever_the_parts_add_up_to() -> None:
    with TerminalEvents("recon-client", quiet=False) as events:
        events.stage("starting", 30)
        events.stage("reconstructing")
        events.progress(0)
        for _ in range(3):
            events.progress(9.9999)
    (task,) = events._bar.tasks
    assert (task.description, task.completed, task.total) == ("done", 30, 30)


def test_the_bar_of_a_run_that_failed_stays_where_it_was() -> None:
    events = TerminalEvents("recon-client", quiet=False)
    with pytest.raises(ValueError, match="damaged"), events:
        _fail(events)
    (task,) = events._bar.tasks
    assert (task.description, task.completed, task.total) == ("reconstructing", 10, 30)


def test_lines_now_and_then() -> None:
    now_s, lines = [0.0], list[str]()
    shown = ProgressLines("frames", lines.append, lambda: now_s[0])
    shown.count(2000, 10_000)  # of an earlier run
    for second in range(1, 101):
        now_s[0] = second
        shown.count(40, 10_000)
    assert lines == [
        "3,200 of 10,000 frames, 40 frames/s, 0:00:30 passed, 0:02:50 left",
        "4,400 of 10,000 frames, 40 frames/s, 0:01:00 passed, 0:02:20 left",
        "5,600 of 10,000 frames, 40 frames/s, 0:01:30 passed, 0:01:50 left",
    ]


def test_lines_of_a_slow_run_and_of_an_unknown_number() -> None:
    now_s, lines = [0.0], list[str]()
    shown = ProgressLines("frames", lines.append, lambda: now_s[0])
    shown.count(0, None)
    now_s[0] = 1000
    shown.count(1, None)
    assert lines == []
    shown.count(1, 20)
    assert lines == ["2 of 20 frames, 0.002 frames/s, 0:16:40 passed, 2:30:00 left"]
    now_s[0] += LINES_EVERY_S - 1
    shown.count(1, 20)
    assert len(lines) == 1


@pytest.mark.parametrize("quiet", [False, True])
def test_lines_where_there_is_no_terminal_unless_quiet(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINES_EVERY_S", 0.0)
    with TerminalEvents("recon-client", quiet=quiet) as events:
        events.stage("reconstructing", 30)
        events.progress(10)
    assert ("recon-client: 10 of 30 frames" in capsys.readouterr().err) is not quiet


def test_the_bar_has_the_time_that_passed() -> None:
    shown = io.StringIO()
    with TerminalEvents("recon-client", quiet=False) as events:
        events.stage("reconstructing", 30)
        events.progress(10)
        Console(file=shown, width=120).print(events._bar.get_renderable())
    assert "10/30 frames" in shown.getvalue()
    assert "0:00:00 passed," in shown.getvalue()


def _fail(events: TerminalEvents) -> None:
    events.stage("reconstructing", 30)
    events.progress(10)
    raise ValueError("damaged")
