"""A disk without room, on a filesystem of a few megabytes."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke, names
from fakes.faulty_proxy import FaultyProxy, after
from smlm_pipeline.server import EmbeddedServer

pytestmark = pytest.mark.triton

OPTIONS = ["--chunk-frames", "2", "--in-flight", "4", "--ledger-every-s", "0"]
FULL = "cannot be written: the disk is full; free space or choose another disk"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 16 MiB; only root may mount one, so elsewhere the tests are skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "smlm_recon_test", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount(8)")
    if mounted.returncode:
        pytest.skip(f"needs to mount a filesystem: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _free(disk: Path) -> None:
    (disk / "filler").unlink()


def test_no_room_for_the_ledger(
    film_of_64: Path, small_disk: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    """It is told once, and the run goes on; here there is room again before the image comes."""
    image = small_disk / "image.tif"
    faults = {1: after(lambda: _fill(small_disk)), 20: after(lambda: _free(small_disk))}
    with FaultyProxy(triton.address, faults) as proxy:
        done = invoke("submit", film_of_64, "-o", image, "--server", proxy.address, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    told = f"what is summed so far cannot be kept for --resume: {image.with_suffix('.ledger')}"
    assert done.stderr.count(f"recon-client: {told} {FULL}\n") == 1
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(small_disk) == ["image.png", "image.tif"]


def test_no_room_for_the_image(
    film_of_64: Path, small_disk: Path, triton: EmbeddedServer, undisturbed: NDArray[np.float32]
) -> None:
    """What was kept before stays, and the run goes on from it when there is room again."""
    image = small_disk / "image.tif"
    asked: list[str | Path] = ["submit", film_of_64, "-o", image, *OPTIONS]
    with FaultyProxy(triton.address, {20: after(lambda: _fill(small_disk))}) as proxy:
        failed = invoke(*asked, "--server", proxy.address)
    assert failed.exit_code == 7
    *_, kept, complaint = failed.stderr.splitlines()
    assert f"of 32 requests are kept in {image.with_suffix('.ledger')}; the same command" in kept
    assert complaint == f"recon-client: {image} {FULL}"
    assert names(small_disk) == ["filler", "image.ledger"]

    _free(small_disk)
    with FaultyProxy(triton.address) as proxy:
        done = invoke(*asked, "--server", proxy.address, "--resume")
    assert done.exit_code == 0, done.stderr
    assert proxy.inferences < 32
    np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
    assert names(small_disk) == ["image.png", "image.tif"]
