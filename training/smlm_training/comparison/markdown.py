"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One line a row, below the heads."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
