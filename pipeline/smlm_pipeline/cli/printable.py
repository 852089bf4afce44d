"""Text for a terminal: names of files come from anywhere, and may hold what a terminal obeys."""

from __future__ import annotations

import unicodedata

_OBEYED = {"Cc", "Cf", "Cs"}
"""Unicode's categories of controls, of marks that turn the order of text, and of stray bytes."""

_LAYOUT = {"\n", "\t"}


def printable(text: str, *, one_line: bool = True) -> str:
    """Write characters that a terminal obeys, rather than shows, as Python escapes them.

    Parameters
    ----------
    text : str
        The text.
    one_line : bool
        Whether line breaks and tabs are written so, too.
    """
    kept = set() if one_line else _LAYOUT
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if unicodedata.category(each) in _OBEYED and each not in kept
        else each
        for each in text
    )
