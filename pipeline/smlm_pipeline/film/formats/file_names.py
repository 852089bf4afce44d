"""Order the files of a folder by the numbers and words in their names. Pure."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise

MICRO_MANAGER = (
    re.compile(
        r"img_channel(?P<C>\d+)_position(?P<P>\d+)_time(?P<T>\d+)_z(?P<Z>\d+)\.tiff?", re.IGNORECASE
    ),
    re.compile(r"img_(?P<T>\d+)_(?P<C>.+)_(?P<Z>\d+)\.tiff?", re.IGNORECASE),
)
"""Names of the files of Micro-Manager 2 and 1."""

_TIFF = re.compile(r"\.tiff?$", re.IGNORECASE)
"""Endings that mean the same."""

_GLOBS_MAX = 8
"""Most globs of a pattern that is proposed."""

AXES = "PTCZ"
"""Order of the axes of a grid of files; the last runs fastest."""

_WORDS = {
    **dict.fromkeys(("t", "time", "frame", "timepoint"), "T"),
    **dict.fromkeys(("z", "slice", "plane", "depth"), "Z"),
    **dict.fromkeys(("c", "ch", "channel", "w", "wavelength"), "C"),
    **dict.fromkeys(("p", "s", "xy", "pos", "position", "stage", "series", "scene", "fov"), "P"),
}
"""Words before a number that name its axis."""

_SAMPLES = (
    "area", "cell", "depth", "dish", "field", "mosaic", "p", "plane", "region", "roi", "s",
    "sample", "series", "site", "slice", "slide", "tile", "well", "z",
)  # fmt: skip
"""Words before the only number that varies that seldom count frames."""

_SECONDS = re.compile(r"(?P<whole>\d+)\.(?P<part>\d+)(?= ?m?s(?:ec)?(?:[^A-Za-z]|$))")
_MOMENT = re.compile(
    r"(?P<date>20\d\d[-_.]?\d\d[-_.]?\d\d)[-_.T ]+(?P<hour>\d\d)[-_.h]?(?P<minute>\d\d)[-_.m]?"
    r"(?P<whole>\d\d)[-_.s](?P<part>\d{3,6})(?!\d)"
)
"""Times of frames in names: ``0.05s``, and ``2026-11-26-14-30-00-033``."""

_SURE_WORDS = ("ch", "channel", "wavelength", "xy", "pos", "position", "stage", "scene", "fov")
"""Those that mean no frames even where the numbers vary along no other axis."""


@dataclass(frozen=True)
class Grid:
    """Files by their places on axes.

    ``places`` has, for each name, its place on `AXES`; ``shape`` the lengths of those axes, and
    ``labels`` the names of places along an axis. ``times`` are the numbers of the frames.
    """

    places: dict[str, tuple[int, ...]]
    shape: tuple[int, ...]
    times: range | list[int]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_irregular(self) -> bool:
        """Whether the numbers follow no rule, as times of day do not."""
        return isinstance(self.times, list)


def by_pattern(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that differ in their numbers alone, by the glob pattern that matches them.

    The pattern that most names have comes first. A name without such relatives is its own
    pattern.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[re.sub(r"\d+", "\0", _TIFF.sub(".tif", name))].append(name)
    named = [
        (_alternatives(alike, _any) if len(alike) > 1 else glob.escape(alike[0]), alike)
        for alike in groups.values()
    ]
    named.sort(key=lambda item: (-len(item[1]), item[0]))
    return {pattern: sorted(alike, key=natural) for pattern, alike in named}


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches one of the globs between the bars of a pattern."""
    return any(fnmatchcase(name, glob_) for glob_ in pattern.split("|"))


def own_pattern(pattern: str, names: Sequence[str], beside: Iterable[str]) -> str:
    """A pattern of these names that matches no other name beside them; empty if there is none.

    ``pattern`` is the one that is taken if it does.
    """
    own = set(names)
    others = set(beside) - own
    for candidate in (pattern, _alternatives(names, _width), _alternatives(names, _digits)):
        exact = all(matches(name, candidate) for name in own) and not any(
            matches(name, candidate) for name in others
        )
        if exact and candidate.count("|") < _GLOBS_MAX:
            return candidate
    return ""


def _alternatives(names: Iterable[str], of_number: Callable[[str], str]) -> str:
    """The globs of names, their numbers replaced, with bars between."""
    globs = {
        "".join(
            of_number(part) if place % 2 else glob.escape(part)
            for place, part in enumerate(re.split(r"(\d+)", name))
        )
        for name in names
    }
    return "|".join(sorted(globs, key=lambda found: (len(found), found)))


def _any(_number: str) -> str:
    return "*"


def _width(number: str) -> str:
    return "?" * len(number)


def _digits(number: str) -> str:
    return "[0-9]" * len(number)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorting key: frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def micro_manager_grid(names: Sequence[str], channels: Sequence[str] = ()) -> Grid | None:
    """The grid of names that Micro-Manager gives; None if one of them is not such a name.

    ``channels`` are the names of channels in the order of Micro-Manager's summary; those that are
    not among them follow in alphabetical order.
    """
    for pattern in MICRO_MANAGER:
        found = [pattern.fullmatch(name) for name in names]
        if all(found):
            columns = {
                axis: [match[axis] for match in found if match]
                for axis in AXES
                if axis in pattern.groupindex
            }
            words = columns["C"]
            labels = {}
            if not all(word.isdigit() for word in words):
                order = [name for name in channels if name in words]
                order += sorted(set(words) - set(order), key=natural)
                labels["C"] = tuple(order)
                columns["C"] = [str(order.index(word)) for word in words]
            numbers = {axis: [int(text) for text in column] for axis, column in columns.items()}
            return _grid(names, numbers, labels)
    return None


def grid(names: Sequence[str], *, chosen: bool = False) -> Grid | None:
    """The grid of names of one pattern; None if it is not clear which of their numbers mean what.

    A single number that varies counts the frames. Of several, the letters before each name its
    axis (t, z, c, pos), and a time of day, which only grows with the frames, is ignored. Names
    that are ``chosen`` are one film; in doubt their order is that of all numbers.
    """
    moments = _moments(names)
    if moments is not None:
        return _grid(names, {"T": moments}, {})
    columns = list(zip(*(map(int, re.findall(r"\d+", name)) for name in names), strict=True))
    words = [word.lower() for word in re.findall(r"([A-Za-z]*)[ _.=-]?\d+", names[0])]
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) == 1:
        (only,) = varying
        axis = _WORDS[words[only]] if words[only] in _SURE_WORDS else "T"
        return _grid(names, {axis: list(columns[only])}, {})
    axes = {i: _WORDS.get(words[i], "") for i in varying}
    unnamed = [i for i in varying if not axes[i]]
    if "T" not in axes.values() and unnamed:
        axes[_counter(columns, unnamed)] = "T"
    named = {axis: list(columns[i]) for i, axis in axes.items() if axis}
    others = [columns[i] for i in varying if not axes[i]]
    placed = None
    if len(named) + len(others) == len(varying) and _are_clocks(named.get("T", []), others):
        placed = _grid(names, named, {})
    if placed is None and chosen:
        order = {name: place for place, name in enumerate(sorted(names, key=natural))}
        return _grid(names, {"T": [order[name] for name in names]}, {})
    return placed


def _moments(names: Sequence[str]) -> list[int] | None:
    """Times of names that differ in a time with decimals alone, in their last decimal place."""
    for pattern in (_MOMENT, _SECONDS):
        found = [list(pattern.finditer(name)) for name in names]
        if not all(len(matched) == 1 for matched in found):
            continue
        times = [matched[0] for matched in found]
        if (
            len(
                {
                    name[: t.start()] + "|" + name[t.end() :]
                    for name, t in zip(names, times, strict=True)
                }
            )
            > 1
        ):
            continue
        decimals = max(len(time["part"]) for time in times)
        numbers = []
        for time in times:
            groups = time.groupdict()
            day = int(re.sub(r"\D", "", groups.get("date") or "0"))
            minutes = (day * 24 + int(groups.get("hour") or 0)) * 60
            seconds = (minutes + int(groups.get("minute") or 0)) * 60 + int(time["whole"])
            numbers.append(seconds * 10**decimals + int(time["part"].ljust(decimals, "0")))
        if len(set(numbers)) == len(numbers):
            return numbers
    return None


def counted_samples(names: Sequence[str]) -> str:
    """The word before the only number that varies, if it seldom counts frames; else empty."""
    words = [word.lower() for word in re.findall(r"([A-Za-z]*)[ _.=-]?\d+", names[0])]
    columns = list(zip(*(re.findall(r"\d+", name) for name in names), strict=False))
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    word = words[varying[0]] if len(varying) == 1 else ""
    return word if word in _SAMPLES else ""


def _counter(columns: list[tuple[int, ...]], places: list[int]) -> int:
    """Of the numbers, the one that counts: different in each name, with the least range."""
    distinct = [i for i in places if len(set(columns[i])) == len(columns[i])] or places
    return min(distinct, key=lambda i: max(columns[i]) - min(columns[i]))


def _are_clocks(times: list[int], others: list[tuple[int, ...]]) -> bool:
    """Whether numbers without an axis grow with the frames and seldom stay, as times of day do."""
    if not others:
        return True
    if len(set(times)) < len(times):
        return False
    order = sorted(range(len(times)), key=times.__getitem__)
    return all(
        2 * len(set(column)) > len(order)
        and all(column[a] <= column[b] for a, b in pairwise(order))
        for column in others
    )


def _grid(
    names: Sequence[str], numbers: dict[str, list[int]], labels: dict[str, tuple[str, ...]]
) -> Grid | None:
    """Places from the numbers along each axis; None if names share a place, or it is no grid."""
    times = _times(numbers.get("T", [0] * len(names)))
    along: list[Sequence[int]] = [
        times if axis == "T" else sorted(set(numbers.get(axis, [0]))) for axis in AXES
    ]
    index = [{number: place for place, number in enumerate(values)} for values in along]
    columns = [numbers.get(axis, [0] * len(names)) for axis in AXES]
    rows = zip(*columns, strict=True)
    places = {
        name: tuple(of_axis.get(number, 0) for of_axis, number in zip(index, row, strict=True))
        for name, row in zip(names, rows, strict=True)
    }
    shape = tuple(len(values) for values in along)
    if len(set(places.values())) < len(places):
        return None
    return Grid(places, shape, times, labels)


def _times(numbers: Iterable[int]) -> range | list[int]:
    """The numbers that frames would have if none were missing; those there are, if irregular.

    Numbers count if most follow their neighbour by the least step, of which all steps are
    multiples.
    """
    found = sorted(set(numbers))
    steps = [b - a for a, b in pairwise(found)]
    least = min(steps, default=1)
    counts = sum(step == least for step in steps) * 2 >= len(steps)
    if counts and all(step % least == 0 for step in steps):
        return range(found[0], found[-1] + 1, least)
    return found
