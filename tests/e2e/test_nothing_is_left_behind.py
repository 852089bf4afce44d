"""However ``recon-client`` ends, no process, shared memory or half-written file stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.processes import CLIENT, PATIENCE_S, children, wait_for
from smlm_pipeline import contract
from smlm_training.simulation.presets import preset_film

pytestmark = pytest.mark.triton


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    """Enough frames that a run lasts for many seconds."""
    frames_adu = preset_film(
        "microtubules", seed=1, frames=50, height_px=64, width_px=64
    ).frames_adu
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, np.tile(frames_adu, (200, 1, 1)), photometric="minisblack")
    return path


def _descendants(parent: int) -> list[int]:
    found, level = [], [parent]
    while level:
        level = [child for pid in level for child in children(pid)]
        found += level
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _segments(client: subprocess.Popen[str]) -> list[Path]:
    """Shared memory of a client's server; other servers on this machine have their own."""
    return list(Path("/dev/shm").glob(f"smlm_recon_{client.pid}_*"))  # noqa: S108 - only looks


def _start(film: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*CLIENT, "submit", str(film), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under nohup, whose children ignore it, nobody could be ended by SIGHUP.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def _working(client: subprocess.Popen[str]) -> bool:
    """Whether the server has loaded its Python models and holds shared memory."""
    return client.poll() is None and len(_segments(client)) >= 5 and _busy(client.pid)


def _busy(pid: int) -> bool:
    """Whether a stub has spent seconds of processor time: the network is running."""
    ticks = os.sysconf("SC_CLK_TCK")
    for child in _descendants(pid):
        try:
            fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if (int(fields[11]) + int(fields[12])) / ticks > 4:
            return True
    return False


def test_a_run_that_ends_well(film_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "image.ome.tif"
    client = _start(film_file, "-o", str(output), "--json")
    seen: set[int] = set()
    while client.poll() is None:
        seen.update(_descendants(client.pid))
        time.sleep(0.02)
    text, _ = client.communicate()
    assert client.returncode == 0
    assert json.loads(text)["frames"] == 40
    assert len(seen) >= 6  # the server and a stub for each Python model
    assert not [pid for pid in seen if _alive(pid)]
    assert not _segments(client)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.ome.tif", "image.png"]


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGKILL, -9),
    ],
)
def test_a_run_that_is_ended(
    number: signal.Signals, exit_code: int, long_film: Path, tmp_path: Path
) -> None:
    client = _start(long_film)
    wait_for(lambda: _working(client), "the server to work")
    seen = _descendants(client.pid)
    client.send_signal(number)
    _, complaint = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == exit_code
    assert "Traceback" not in complaint
    wait_for(lambda: not any(_alive(pid) for pid in seen), "the server's processes to end")
    wait_for(lambda: not _segments(client), "shared memory to be gone")
    assert {path.name for path in tmp_path.iterdir()} <= {"long.tif", "long.sr.checkpoint"}


def test_an_impatient_second_interrupt_leaves_nothing_either(long_film: Path) -> None:
    client = _start(long_film)
    wait_for(lambda: _working(client), "the server to work")
    seen = _descendants(client.pid)
    for _ in range(3):
        client.send_signal(signal.SIGINT)
        time.sleep(0.3)
    client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 130
    assert not any(_alive(pid) for pid in seen)
    assert not _segments(client)
    assert not list(Path(tempfile.gettempdir()).glob(f"smlm_recon_{client.pid}_*"))


def test_a_space_in_the_paths(film_file: Path, model_repository: Path, tmp_path: Path) -> None:
    """Triton itself cannot start its Python models on such a path."""
    spaced = tmp_path / "my models"
    shutil.copytree(model_repository, spaced)
    output = tmp_path / "my image.tif"
    (tmp_path / "my tmp").mkdir()
    done = subprocess.run(
        [*CLIENT, "submit", str(film_file), "-o", str(output), "--model-repository", str(spaced)],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "my tmp")},
    )
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_a_server_that_dies_under_the_client(long_film: Path, tmp_path: Path) -> None:
    client = _start(long_film, "--quiet")
    wait_for(lambda: _working(client), "the server to work")
    server = children(client.pid)[0]
    os.killpg(server, signal.SIGKILL)
    _, complaint = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 4
    assert "did not answer" in complaint
    assert "Traceback" not in complaint
    assert not _segments(client)
    assert {path.name for path in tmp_path.iterdir()} <= {"long.tif", "long.sr.checkpoint"}


def test_serve_status_and_submit_to_it(film_file: Path, tmp_path: Path) -> None:
    serving = subprocess.Popen(
        [*CLIENT, "serve", "--port", str(_free_port())], stdout=subprocess.PIPE, text=True
    )
    assert serving.stdout is not None
    try:
        address = serving.stdout.readline().split()[-1]
        told = subprocess.run(
            [*CLIENT, "status", "--server", address], capture_output=True, text=True, check=True
        )
        assert "2.51.0" in told.stdout
        assert told.stdout.count("yes") == 2 * len(contract.MODELS)
        for output in (tmp_path / "first.tif", tmp_path / "second.tif"):
            done = subprocess.run(
                [*CLIENT, "submit", str(film_file), "-o", str(output), "--server", address],
                capture_output=True,
                text=True,
                check=True,
            )
            assert address in done.stdout
            assert output.exists()
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 0
    assert not _segments(serving)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
