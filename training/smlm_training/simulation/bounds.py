"""Checks of settings; a refusal names the setting, its value and the expected values."""

from __future__ import annotations

from collections.abc import Iterable

from smlm_pipeline.errors import SettingError

Range = tuple[float, float]
"""Smallest and largest value."""


def check_within(name: str, value: object, low: float, high: float) -> None:
    """Refuse a value that is no number from ``low`` to ``high``.

    Raises
    ------
    SettingError
        Naming the setting, its value and what was expected.
    """
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None or not low <= number <= high:  # NaN is not within, either
        raise SettingError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse a value that is no whole number from ``low`` to ``high``.

    Raises
    ------
    SettingError
        Naming the setting, its value and what was expected.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(f"{name} is {value!r}; expected a whole number from {low} to {high}")


def check_range(name: str, value: object, low: float, high: float) -> None:
    """Refuse a value that is no pair of numbers, the smaller first, from ``low`` to ``high``.

    Raises
    ------
    SettingError
        Naming the setting, its value and what was expected.
    """
    if not isinstance(value, tuple) or len(value) != 2:
        raise SettingError(f"{name} is {value!r}; expected a smallest and a largest number")
    check_within(f"{name}, smallest,", value[0], low, high)
    if value[1] < value[0]:
        raise SettingError(f"{name} is {value[0]:g} to {value[1]:g}; expected the smaller first")
    check_within(f"{name}, largest,", value[1], value[0], high)


def check_one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Refuse a word that is not among the known ones.

    Raises
    ------
    SettingError
        Naming the setting, its value and what was expected.
    """
    known = tuple(known)
    if value not in known:
        raise SettingError(f"{name} is {value!r}; expected one of {', '.join(known)}")
