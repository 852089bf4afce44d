"""However ``recon-client`` ends, no process, shared memory or half-written file stays."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.processes import (
    CLIENT,
    PATIENCE_S,
    alive,
    children,
    finished,
    free_port,
    started,
    wait_for,
)
from fakes.real_servers import counted
from smlm_pipeline import contract
from smlm_training.simulation.presets import preset_film

pytestmark = pytest.mark.triton

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


@dataclass(frozen=True)
class Working:
    """A client in the middle of a run, the processes of its server, and the folder of its film."""

    client: subprocess.Popen[str]
    processes: list[int]
    folder: Path


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough frames that a run lasts for many seconds."""
    frames_adu = preset_film(
        "microtubules", seed=1, frames=50, height_px=64, width_px=64
    ).frames_adu
    path = tmp_path_factory.mktemp("film") / "long.tif"
    tifffile.imwrite(path, np.tile(frames_adu, (200, 1, 1)), photometric="minisblack")
    return path


def _descendants(parent: int) -> list[int]:
    found, level = [], [parent]
    while level:
        level = [child for pid in level for child in children(pid)]
        found += level
    return found


def _segments(client: subprocess.Popen[str]) -> list[Path]:
    """Shared memory of a client's server; other servers on this machine have their own."""
    return list(Path("/dev/shm").glob(f"smlm_recon_{client.pid}_*"))  # noqa: S108 - only looks


@contextlib.contextmanager
def _working_client(film: Path, folder: Path, repository: Path, *options: str) -> Iterator[Working]:
    """A client whose server has summed the first frames of the film."""
    (folder / "long.tif").hardlink_to(film)
    command = [*CLIENT, "submit", str(folder / "long.tif"), *options]
    command += ["--model-repository", str(repository)]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, **output) as client:
        wait_for(lambda: client.poll() is not None or _sums(client.pid) > 0, "the server to work")
        assert client.poll() is None
        assert len(_segments(client)) >= 2  # one for each of its models
        yield Working(client, _descendants(client.pid), folder)


def _sums(client: int) -> int:
    """Requests that the client's server has answered."""
    with contextlib.suppress(OSError, IndexError):  # it does not listen yet
        arguments = Path(f"/proc/{children(client)[0]}/cmdline").read_text()
        if port := re.search(r"--metrics-port=(\d+)", arguments):
            url = f"http://127.0.0.1:{port[1]}/metrics"
            return counted(url, "nv_inference_request_success", contract.RECONSTRUCTION.name)
    return 0


def test_a_run_that_ends_well(film_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "image.ome.tif"
    command = [*CLIENT, "submit", str(film_file), "-o", str(output), "--json"]
    seen: set[int] = set()
    with started(command, stdout=subprocess.PIPE) as client:
        while client.poll() is None:
            seen.update(_descendants(client.pid))
            time.sleep(0.02)
        text, _ = client.communicate()
    assert client.returncode == 0
    assert json.loads(text)["frames"] == 40
    assert len(seen) >= 6  # the server and a stub for each Python model
    assert not [pid for pid in seen if alive(pid)]
    assert not _segments(client)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "image.ome.tif",
        "image.png",
        "image.sum.ome.tif",
    ]


@pytest.fixture(scope="module")
def signalled(
    long_film: Path, small_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[signal.Signals, Working]]:
    """A client for each signal, sent in the middle of its run: their ends overlap."""
    with contextlib.ExitStack() as stack:
        runs = {}
        for number in EXIT_CODES:
            folder = tmp_path_factory.mktemp(number.name)
            run = stack.enter_context(_working_client(long_film, folder, small_repository))
            run.client.send_signal(number)
            runs[number] = run
        yield runs


@pytest.mark.parametrize(("number", "exit_code"), EXIT_CODES.items())
def test_a_run_that_is_ended(
    number: signal.Signals, exit_code: int, signalled: dict[signal.Signals, Working]
) -> None:
    run = signalled[number]
    _, complaint = run.client.communicate(timeout=PATIENCE_S)
    assert run.client.returncode == exit_code
    assert "Traceback" not in complaint
    wait_for(lambda: not any(map(alive, run.processes)), "the server's processes to end")
    wait_for(lambda: not _segments(run.client), "shared memory to be gone")
    assert {path.name for path in run.folder.iterdir()} <= {"long.tif", "long.sr.checkpoint"}


def test_an_impatient_second_interrupt_leaves_nothing_either(
    long_film: Path, small_repository: Path, tmp_path: Path
) -> None:
    with _working_client(long_film, tmp_path, small_repository) as run:
        for _ in range(3):
            run.client.send_signal(signal.SIGINT)
            time.sleep(0.1)
        run.client.communicate(timeout=PATIENCE_S)
    assert run.client.returncode in (130, -signal.SIGINT)  # which is 130 to a shell
    assert not any(map(alive, run.processes))
    assert not _segments(run.client)
    assert not list(Path(tempfile.gettempdir()).glob(f"smlm_recon_{run.client.pid}_*"))


def test_a_space_in_the_paths(film_file: Path, small_repository: Path, tmp_path: Path) -> None:
    """Triton itself cannot start its Python models on such a path."""
    spaced = tmp_path / "my models"
    shutil.copytree(small_repository, spaced)
    output = tmp_path / "my image.tif"
    (tmp_path / "my tmp").mkdir()
    done = finished(
        [*CLIENT, "submit", str(film_file), "-o", str(output), "--model-repository", str(spaced)],
        env={**os.environ, "TMPDIR": str(tmp_path / "my tmp")},
    )
    assert done.returncode == 0, done.stderr
    assert output.exists()


def test_serve_status_and_submit_to_it(film_file: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "first.tif", tmp_path / "second.tif"]
    serve = [*CLIENT, "serve", "--port", str(free_port())]
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(started(serve, stdout=subprocess.PIPE))
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[-1]
        commands = [["status", "--server", address]] + [
            ["submit", str(film_file), "-o", str(output), "--server", address] for output in outputs
        ]
        clients = [
            stack.enter_context(started([*CLIENT, *command], stdout=subprocess.PIPE))
            for command in commands
        ]
        status, *submissions = [client.communicate(timeout=PATIENCE_S)[0] for client in clients]
        assert [client.returncode for client in clients] == [0, 0, 0]
        assert "2.51.0" in status
        assert status.count("yes") == 2 * len(contract.MODELS)
        assert all(address in submission for submission in submissions)
        assert all(output.exists() for output in outputs)
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 0
    assert not _segments(serving)
