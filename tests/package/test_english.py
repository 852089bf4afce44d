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

AVOIDED = {
    r"\banew\b": "again; start over",
    r"\bwhoever\b": "the user, the caller",
    r"\bthe seed's\b": "the reference paper's",
    r"\bledgers?\b": "checkpoint",
    r"\btells? that\b": "reports, states",
    r"(?<!^)\btold\b": "reported, given",  # alone it is a value of published tables
    r"\bgo(es)? on\b": "continue",
    r"\bnobody\b": "no one, or the passive",
    r"\bfine pixels?\b": "SR pixel",
}
"""Words without a place in docstrings, messages and help, each with what to write."""


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string of a file; the parts of an f-string are strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("word", AVOIDED)
def test_words_to_avoid(word: str) -> None:
    uses = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        for line, text in _strings(path)
        for _ in re.finditer(word, text, re.IGNORECASE)
    ]
    assert not uses, f"write {AVOIDED[word]!r}: " + "\n".join(uses)
