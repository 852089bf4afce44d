"""The connections of a gate's clients, as the kernel lists them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from smlm_pipeline.gate.connections import Connections

_OPEN_FILES = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not _OPEN_FILES.exists(), reason="no list of open files")


@pytest.mark.parametrize("meanwhile", ["nothing", "a file", "closed"])
def test_a_look_leaves_no_file_open(
    meanwhile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of a connection while it is looked at: gRPC closes it at any time."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        (tmp_path / "other").open("w") as other,
    ):
        accepted, peer = listening.accept()
        duplicate = os.dup

        def dup(name: int) -> int:
            if name == accepted.fileno() and meanwhile == "a file":
                os.dup2(other.fileno(), name)
            if name == accepted.fileno() and meanwhile == "closed":
                accepted.close()
            return duplicate(name)

        monkeypatch.setattr(os, "dup", dup)
        connections = Connections(listening.getsockname()[1])
        with accepted:
            before = len([*_OPEN_FILES.iterdir()])
            found = [each.port for each, _ in connections._open()]
            after = len([*_OPEN_FILES.iterdir()])
        assert found == ([peer[1]] if meanwhile == "nothing" else [])
        assert after == before - (meanwhile == "closed")
        assert client.fileno() >= 0
