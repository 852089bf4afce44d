"""The model repository of a server with one client, whose queues need no bound.

Triton bounds a queue by its dynamic batcher. With a bound, that hands out a request only while an
instance waits for one, and it looks only when another request arrives or half a second has passed:
an instance that finishes waits until its answer has reached the client and the next request has
come. A client that bounds its own requests needs no such queue, and gets a fifth more frames.
"""

from __future__ import annotations

from pathlib import Path

CONFIGURATION = "cpu"
"""Name of the configuration that the server takes, where a model has it: ``configs/cpu.pbtxt``."""

_FILE, _FOLDER = "config.pbtxt", "configs"


def make(repository: Path, folder: Path) -> None:
    """Link the models of a repository into a new folder, in their CPU configuration without queues.

    A model whose configuration cannot be read is linked as it is: Triton says what is wrong.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    folder.mkdir()
    for model in repository.iterdir():
        configuration = _without_queue(model)
        if configuration is None:
            (folder / model.name).symlink_to(model)
            continue
        linked = folder / model.name
        linked.mkdir()
        (linked / _FILE).write_text(configuration)
        for each in model.iterdir():
            if each.name not in (_FILE, _FOLDER):
                (linked / each.name).symlink_to(each)


def _without_queue(model: Path) -> str | None:
    """The configuration, unless there is none that can be read."""
    # Both take a third of a second, and commands that start no server load this module too.
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    chosen = model / _FOLDER / f"{CONFIGURATION}.pbtxt"
    file = chosen if chosen.exists() else model / _FILE
    try:
        stated = text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        return None
    stated.ClearField("dynamic_batching")
    return text_format.MessageToString(stated)
