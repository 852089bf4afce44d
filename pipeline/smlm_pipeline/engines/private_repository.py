"""The model repository of a server with one client, whose queues need no bound.

Triton bounds a queue by its dynamic batcher. With a bound, that hands out a request only while an
instance waits for one, and it looks only when another request arrives or half a second has passed:
an instance that finishes waits until its answer has reached the client and the next request has
come. A client that bounds its own requests needs no such queue.
"""

from __future__ import annotations

import re
from pathlib import Path

CONFIGURATION = "cpu"
"""Name of the configuration that the server takes, where a model has it: ``configs/cpu.pbtxt``."""

_FILE, _FOLDER = "config.pbtxt", "configs"

_PIECE = re.compile(
    r"""(?P<queue>\bdynamic_batching\s*:?\s*(?={))|[{}]|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
)
"""What counts in a configuration, a text of protobuf: braces, but not of comments and strings."""


def make(repository: Path, folder: Path) -> None:
    """Link the models of a repository into a new folder, in their CPU configuration without queues.

    Raises
    ------
    OSError
        If the folder cannot be written, or a configuration not read.
    """
    folder.mkdir()
    for model in repository.iterdir():
        chosen = model / _FOLDER / f"{CONFIGURATION}.pbtxt"
        file = chosen if chosen.exists() else model / _FILE
        if not file.exists():
            (folder / model.name).symlink_to(model)
            continue
        linked = folder / model.name
        linked.mkdir()
        (linked / _FILE).write_text(without_queue(file.read_text("utf-8", "replace")), "utf-8")
        for each in model.iterdir():
            if each.name not in (_FILE, _FOLDER):
                (linked / each.name).symlink_to(each)


def without_queue(configuration: str) -> str:
    """Leave the dynamic batcher out of a configuration; one that is no such text stays as it is."""
    depth, start = 0, -1
    for piece in _PIECE.finditer(configuration):
        if piece["queue"] is not None and depth == 0:
            start = piece.start()
        elif piece[0] == "{":
            depth += 1
        elif piece[0] == "}":
            depth -= 1
            if depth == 0 and start >= 0:
                return configuration[:start] + configuration[piece.end() :]
    return configuration
