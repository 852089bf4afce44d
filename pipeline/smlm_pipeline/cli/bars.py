"""Bars of progress that fit a line each, however narrow the terminal and long the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, Task
from rich.table import Column, Table
from rich.text import Text

from smlm_pipeline.cli.printable import printable

BAR_MOST, BAR_LEAST = 40, 6
"""Columns of a bar; one with less room is left out."""

_NAME_SHARE = 0.5
"""Most of a line that the name of film and stage takes."""

_DONE_SHARE = 0.5
"""Of a unit: what a sum of parts may lack of the total."""

Facts = tuple[tuple[str, str], ...]
"""Pieces of text and their styles."""


class Bars(Progress):
    """Bars with the name of the stage, what is done, how fast, the time that passed and is left.

    Parameters
    ----------
    unit : str
        What is counted.
    console : Console
        Where they are shown; each bar takes one line of it, and says less where that is narrow.
    disable : bool
        Whether they are not shown.
    """

    def __init__(self, unit: str, console: Console, *, disable: bool) -> None:
        self._unit, self._shown_on = unit, console
        super().__init__(console=console, disable=disable)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Lay out a line for each task, with as many facts as fit the widest one."""
        shown = [task for task in tasks if task.visible]
        width = self._shown_on.width
        names = [_cut(task.description, int(width * _NAME_SHARE)) for task in shown]
        name_width = max(map(cell_len, names), default=0)
        facts = [_text(each) for each in self._facts(shown, width - name_width - 1)]
        facts_width = max((text.cell_len for text in facts), default=0)
        bar = BarColumn(min(BAR_MOST, width - name_width - facts_width - 2))
        grid = Table.grid(Column(no_wrap=True), Column(), Column(no_wrap=True, justify="right"))
        grid.padding = (0, 1, 0, 0)
        grid.pad_edge = False
        for task, name, text in zip(shown, names, facts, strict=True):
            fits = (bar.bar_width or 0) >= BAR_LEAST
            grid.add_row(Text(name), bar.render(task) if fits else Text(), text)
        return grid

    def _facts(self, tasks: Sequence[Task], room: int) -> list[Facts]:
        """The facts of each task: the first choice in which all fit the room, with a bar."""
        choices: tuple[Callable[[Task], Facts], ...] = (
            lambda task: (*self._count(task), *_speed(task, f" {self._unit}/s"), *_times(task)),
            lambda task: (*self._count(task), *_speed(task, "/s"), *_times(task)),
            lambda task: (*self._count(task), *_times(task)),
            lambda task: (*self._count(task), *_times(task)[-1:]),
            self._count,
        )
        for choice in choices:
            facts = [choice(task) for task in tasks]
            if all(_text(each).cell_len + BAR_LEAST + 1 <= room for each in facts):
                return facts
        return [self._count(task)[:1] for task in tasks]

    def _count(self, task: Task) -> Facts:
        """What is done, of how much."""
        total = "?" if task.total is None else f"{task.total:.0f}"
        count = f"{task.completed:.0f}/{total}"
        return (count.rjust(2 * len(total) + 1), "progress.download"), (self._unit, "")


def _text(facts: Facts) -> Text:
    return Text(" ").join(Text(*fact) for fact in facts)


def _cut(name: str, most: int) -> str:
    """The end of a long name, which has the stage; names of films may hold anything."""
    shown = printable(name)
    if cell_len(shown) <= most:
        return shown
    while cell_len(shown) >= most > 1:
        shown = shown[1:]
    return f"…{shown}"


def _speed(task: Task, unit: str) -> Facts:
    """Speed of the last seconds, as soon as it is measured."""
    speed = task.finished_speed or task.speed
    return ((f"{rate(speed)}{unit}", ""),) if speed else ()


def _times(task: Task) -> Facts:
    """The time that passed, and that which is left until all is counted; refining follows that."""
    passed = (f"{_duration(task.elapsed)} passed", "progress.elapsed")
    if task.total is not None and task.completed + _DONE_SHARE >= task.total:
        return (passed,)
    left = (f"{_duration(task.time_remaining)} left", "progress.remaining")
    return (f"{passed[0]},", passed[1]), left


def _duration(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else duration(seconds)


def rate(speed: float) -> str:
    """A speed in as many digits as are of use."""
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds; hours of more than a day stay hours."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
