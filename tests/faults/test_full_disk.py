"""A disk without room during a run: a filesystem of some megabytes, and an imitation."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import PLAIN, invoke, names
from fakes.faulty_proxy import FaultyProxy, after
from smlm_pipeline.engines.embedded import EmbeddedServer

pytestmark = pytest.mark.triton

OPTIONS = [
    *PLAIN,
    "--chunk-frames",
    "2",
    "--in-flight",
    "4",
    "--checkpoint-every-s",
    "0",
]
FULL = "cannot be written: the disk is full; free space or choose another disk"


@dataclass(frozen=True)
class Disk:
    """Where results go, and how its room is taken and given back."""

    folder: Path
    fill: Callable[[], None]
    free: Callable[[], None]


@pytest.fixture(params=["real", "imitated"])
def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Disk]:
    if request.param == "imitated":
        yield _imitated_disk(tmp_path, monkeypatch)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "smlm_recon_test", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount(8)")
    if mounted.returncode:
        pytest.skip(f"needs to mount a filesystem: {mounted.stderr.splitlines()[0]}")
    try:
        (tmp_path / "results").mkdir()
        filler = tmp_path / "filler"
        yield Disk(tmp_path / "results", lambda: _fill(filler), filler.unlink)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _imitated_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Where nobody may mount one: a disk that says so when a file is to be made safe."""
    synchronise, full = os.fsync, threading.Event()

    def fsync(descriptor: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return Disk(folder, full.set, full.clear)


def test_no_room_for_the_checkpoint(
    film_of_64: Path, disk: Disk, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    """It is told once, and the run continues; here there is room again before the image comes."""
    image = disk.folder / "image.tif"
    faults = {1: after(disk.fill), 20: after(disk.free)}
    with FaultyProxy(triton.address, faults) as proxy:
        done = invoke("submit", film_of_64, "-o", image, "--server", proxy.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    told = f"the run has no checkpoint for --resume: {image.with_suffix('.checkpoint')}"
    assert done.stderr.count(f"recon-client: {told} {FULL}\n") == 1
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(disk.folder) == ["image.png", "image.tif"]


def test_no_room_for_the_image(
    film_of_64: Path, disk: Disk, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    """What was kept before stays, and the run continues from it when there is room again."""
    image = disk.folder / "image.tif"
    asked: list[str | Path] = ["submit", film_of_64, "-o", image, *OPTIONS]
    with FaultyProxy(triton.address, {20: after(disk.fill)}) as proxy:
        failed = invoke(*asked, "--server", proxy.address)
    assert failed.exit_code == 7
    *_, kept, complaint = failed.stderr.splitlines()
    checkpoint = image.with_suffix(".checkpoint")
    assert f"of 32 requests are kept in {checkpoint}; run the same command" in kept
    assert complaint == f"recon-client: {image} {FULL}"
    assert names(disk.folder) == ["image.checkpoint"]

    disk.free()
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert proxy.inferences < 32
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(disk.folder) == ["image.png", "image.tif"]
