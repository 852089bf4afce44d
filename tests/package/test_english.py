"""Words that the sources and their messages do without: each has a plainer one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.places import ROOT

SOURCES = [
    path
    for folder in ("pipeline", "training", "model_repository")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

OCCURRENCES_MAX = {
    r"\banew\b": 15,  # again; start over
    r"\bwhoever\b": 7,  # the user, the caller
    r"\bthe seed('s)?\b(?! of)": 25,  # the reference paper
    r"\bledgers?\b": 0,  # checkpoint
    r"\btells? that\b": 1,  # reports, states
    r"\btold\b": 31,  # reported, given
    r"\bgo(es)? on\b": 21,  # continue
    r"\bnobody\b": 2,  # no one, or the passive
}
"""Most uses in strings: docstrings, messages and help. These limits only fall, to none."""


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string of a file; the parts of an f-string are strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("word", OCCURRENCES_MAX)
def test_words_to_avoid(word: str) -> None:
    uses = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, text in _strings(path)
        for _ in re.finditer(word, text, re.IGNORECASE)
    ]
    assert len(uses) <= OCCURRENCES_MAX[word], "\n".join(uses)
