"""Pieces of markup that the sections of a page share."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

Numbers = Mapping[str, Any]
"""All numbers of a report (`numbers.numbers_of`), or a part of them."""


def number(value: float) -> str:
    """Three digits, without an exponent: ``1,440``."""
    return f"{float(f'{value:.3g}'):,.12g}"


def text(value: object) -> str:
    """Text that is no markup."""
    return html.escape(str(value), quote=True)


def table(rows: Mapping[str, str]) -> str:
    """Names and values, a row each."""
    cells = (
        f'<tr><th scope="row">{text(name.replace("_", " "))}</th><td>{text(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f'<table class="named"><tbody>{"".join(cells)}</tbody></table>'


def absent(title: str, state: str, option: str, makes: str) -> str:
    """A section that was not asked for, and the option that makes it."""
    return (
        f'<h2>{title}</h2><p class="absent">{state.capitalize()}: <code>{text(option)}</code> '
        f"makes {text(makes)}.</p>"
    )


def joined(parts: Iterable[str]) -> str:
    """Sections, one below the other."""
    return "\n".join(f"<section>{part}</section>" for part in parts)
