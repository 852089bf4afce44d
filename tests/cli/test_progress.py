"""Events on the terminal: notes for those who want them, warnings for everyone, and a bar."""

from __future__ import annotations

import pytest

from smlm_pipeline.cli.progress import TerminalEvents

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


def _fail(events: TerminalEvents) -> None:
    events.stage("reconstructing", 30)
    events.progress(10)
    raise ValueError("damaged")
