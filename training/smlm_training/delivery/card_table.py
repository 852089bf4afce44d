"""The scores of two model cards side by side, for the eye."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

SCORES = "scores_on_films_training_never_saw"

_COLUMNS = {
    "nmse_percent_at_blur_0_1_2_px": ("NMSE (%) at blur 0 / 1 / 2", "{:.1f}"),
    "emitters_found_over_true": ("found / true", "{:.3f}"),
    "jaccard": ("Jaccard", "{:.3f}"),
    "rmse_nm": ("RMSE (nm)", "{:.1f}"),
}
"""Title and format of the scores that are shown, by their names in a card."""


def card_table(card: Mapping[str, Any], card_before: Mapping[str, Any], *, before: str) -> Table:
    """A row for each film of ``card``, and beneath it what ``card_before`` says of it.

    Parameters
    ----------
    card, card_before : mapping
        Contents of two files ``model.json``; the second may be empty.
    before : str
        What the second is called; nothing if there is none.
    """
    table = Table(title="films that training never saw", title_justify="left", box=None)
    table.add_column("film")
    for title, _ in _COLUMNS.values():
        table.add_column(title, justify="right")
    scores_before = card_before.get(SCORES, {})
    for film, scores in card.get(SCORES, {}).items():
        table.add_row(film, *_cells(scores))
        if before:
            table.add_row(f"  {before}", *_cells(scores_before.get(film, {})), style="dim")
    return table


def _cells(scores: Mapping[str, Any]) -> list[str]:
    return [_cell(scores.get(name), form) for name, (_, form) in _COLUMNS.items()]


def _cell(value: Any, form: str) -> str:
    """A number or several in one cell; a dash for what was not scored."""
    if value is None:
        return "-"
    values = value if isinstance(value, list) else [value]
    return " / ".join("-" if each is None else form.format(each) for each in values)
