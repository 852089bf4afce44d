"""Notice arrays whose frames seem to lie along another axis than the first."""

from __future__ import annotations

_TIMES_LONGER = 4
"""Frames are seldom so elongated; films are as many times longer than their frames are wide."""


def remarks_on_axes(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """A warning for an array without names of axes that looks like Y,X,T; else nothing.

    Parameters
    ----------
    name : str
        The array's name for the message.
    shape : tuple of int
        Its lengths, which are taken as T,Y,X.
    """
    if len(shape) != 3:
        return ()
    first, second, last = shape
    square_before = first == second != last or first == last != second
    if not (square_before or last >= _TIMES_LONGER * max(first, second)):
        return ()
    return (
        f"{name} of {shape} names no axes and is taken as {first:,} frames of {second} x {last} "
        "pixels (T,Y,X); if its frames lie along another axis, save it as T,Y,X",
    )
