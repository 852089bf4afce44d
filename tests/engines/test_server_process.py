"""Processes of a server: what ends with whom, and what the next start ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fakes.processes import alive, children, started, wait_for
from smlm_pipeline.engines.server_folder import sweep
from smlm_pipeline.engines.server_process import ServerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes of Linux")

SERVER = """
import os, time
os.fork() or os.execv("/bin/sleep", ["/models/unet/1/model.py", "600"])
time.sleep(600)
"""


def _commands(pid: int) -> list[str]:
    """What the children run: a process that was just forked runs what its parent does."""
    return [Path(f"/proc/{each}/cmdline").read_text().split("\0")[0] for each in children(pid)]


def test_the_death_of_a_stub_is_a_fault() -> None:
    process = ServerProcess([sys.executable, "-c", SERVER], os.environ)
    try:
        wait_for(lambda: _commands(process.pid) == ["/models/unet/1/model.py"], "the stub to start")
        process.note_stubs()
        assert process.fault() is None
        (stub,) = children(process.pid)
        os.kill(stub, signal.SIGKILL)
        wait_for(lambda: process.fault() is not None, "its death to be noticed")
        assert process.fault() == "the process of unet ended"
    finally:
        process.kill()
    assert process.fault() == "tritonserver ended with status -9"


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        ServerProcess([str(tmp_path / "none")], os.environ)
    assert caught.value.filename == str(tmp_path / "none")
    (tmp_path / "text").write_text("")
    with pytest.raises(PermissionError):
        ServerProcess([str(tmp_path / "text")], os.environ)


def test_orphans_of_a_killed_client_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the folder in their command lines; those of clients that run stay."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    gone, running = tmp_path / "smlm_recon_999999999_ab", tmp_path / f"smlm_recon_{os.getpid()}_cd"
    stubs = []
    for folder in (gone, running):
        folder.mkdir()
        name = str(folder / "backends" / "python" / "triton_python_backend_stub")
        stubs.append(subprocess.Popen([name, "600"], executable="/bin/sleep"))
    os.utime(gone, (0, 0))
    try:
        sweep()
        assert stubs[0].wait(60) == -signal.SIGKILL
        assert stubs[1].poll() is None
        assert not gone.exists()
    finally:
        for stub in stubs:
            stub.kill()
            stub.wait()


@pytest.mark.triton
def test_real_orphans_are_ended_and_their_frames_are_for_no_one_else(
    small_repository: Path, tmp_path: Path
) -> None:
    """Client and server are killed together while a stub cannot notice it."""
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    start = "from smlm_pipeline.engines.embedded import EmbeddedServer; from pathlib import Path; "
    start += f"server = EmbeddedServer(Path({str(small_repository)!r})); server.start(); "
    client = [sys.executable, "-c", f"{start} print(server.pid, flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with started(client, **pipes) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        (folder,) = (tmp_path / "tmp").iterdir()
        key = next(
            word.partition("admin-key=")[2]
            for word in Path(f"/proc/{server}/cmdline").read_text().split("\0")
            if "admin-key=" in word
        )
        segments = list(Path("/dev/shm").glob(f"{folder.name}*"))  # noqa: S108 - only looks
        assert len(segments) == 2
        for path in (folder, *folder.rglob("*"), *segments):
            assert key not in path.name
        assert folder.stat().st_mode & 0o077 == 0
        assert [each.stat().st_mode & 0o077 for each in segments] == [0, 0]
        stubs = children(server)
        for pid, number in (
            *((stub, signal.SIGSTOP) for stub in stubs),
            (process.pid, signal.SIGKILL),
            (server, signal.SIGKILL),
        ):
            os.kill(pid, number)
    assert all(map(alive, stubs))
    subprocess.run(
        [sys.executable, "-c", "from smlm_pipeline.engines.server_folder import sweep; sweep()"],
        env=environment,
        check=True,
        timeout=60,
    )
    wait_for(lambda: not any(map(alive, stubs)), "the orphans to end")
    assert not list((tmp_path / "tmp").iterdir())
    assert not any(segment.exists() for segment in segments)
