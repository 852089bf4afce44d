"""What a network's card states for its model's configurations, and writing it there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.contract import (
    CLASS_BORDERS_PARAMETER,
    REQUEST_PIXELS_PARAMETER,
    TRAINED_RANGES_PARAMETER,
)
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import ranges_of_card
from smlm_pipeline.settings import MAP_REQUEST_PIXELS, REQUEST_PIXELS

_FOR_A_GPU, _FOR_A_CPU = "config.pbtxt", "configs/cpu.pbtxt"

ClassBorders = dict[int, tuple[float, ...]]


def class_borders_of(card: Mapping[str, Any]) -> ClassBorders:
    """Read a card's class borders: for each number of classes, in camera pixels.

    Raises
    ------
    ContractError
        If the card has none, or they are not ascending numbers above 0.
    """
    counts = range(2, contract.MAX_CLASSES + 1)
    stated: Any = card.get(CLASS_BORDERS_PARAMETER)
    try:
        borders_px = {count: tuple(float(each) for each in stated[str(count)]) for count in counts}
    except (KeyError, TypeError, ValueError):
        borders_px = {}
    if not borders_px or not all(_are_borders(*each) for each in borders_px.items()):
        raise ContractError(
            f"the card's {CLASS_BORDERS_PARAMETER} is {stated}; expected the ascending borders of "
            f"2 to {contract.MAX_CLASSES} precision classes: export the run again with this release"
        )
    return borders_px


def _are_borders(classes: int, borders_px: tuple[float, ...]) -> bool:
    ascending = all(lower < upper for lower, upper in pairwise((0.0, *borders_px, float("inf"))))
    return len(borders_px) == classes - 1 and ascending


def configure(folder: Path, answer: contract.Answer, card: Mapping[str, Any]) -> None:
    """Write a network's parameters into the configurations of its model, each as a whole.

    Parameters
    ----------
    folder : Path
        The model's folder in a repository; a configuration that it lacks is left out.
    answer : Answer
        Kind of the network's answer.
    card : mapping
        The network's card.

    Raises
    ------
    ContractError
        As `class_borders_of`.
    OutputError
        If a file cannot be written.
    """
    ranges = contract.ranges_text(ranges_of_card(card))
    of_card = {TRAINED_RANGES_PARAMETER: ranges}
    if not answer.makes_maps:
        of_card[CLASS_BORDERS_PARAMETER] = _borders_text(card)
    for name, request_pixels in _request_pixels(answer).items():
        file = folder / name
        if not file.exists():
            continue
        text = file.read_text(encoding="utf-8")
        stated = {REQUEST_PIXELS_PARAMETER: str(request_pixels), **of_card}
        for parameter, value in stated.items():
            text = _with_parameter(text, parameter, value)
        with written_whole(file) as stream:
            stream.write(text.encode())


def _borders_text(card: Mapping[str, Any]) -> str:
    return contract.class_borders_text(class_borders_of(card))


def _request_pixels(answer: contract.Answer) -> dict[str, int]:
    """What each configuration asks for: on a GPU all that a plan takes, on a CPU the default."""
    usual = MAP_REQUEST_PIXELS if answer.makes_maps else REQUEST_PIXELS
    return {_FOR_A_GPU: answer.pixels_most, _FOR_A_CPU: usual}


def _with_parameter(text: str, parameter: str, value: str) -> str:
    """A configuration with this value of a parameter, in its old line or in a new one.

    Without a value the line goes: it was another network's.
    """
    line = f'parameters {{ key: "{parameter}" value {{ string_value: "{value}" }} }}\n'
    stated = re.compile(rf'^parameters *{{ *key: *"{parameter}".*\n?', re.MULTILINE)
    if not value or stated.search(text):
        return stated.sub(line if value else "", text, count=1)
    return f"{text.rstrip()}\n{line}".lstrip()
