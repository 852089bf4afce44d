"""A real Slurm cluster on this machine: films in an array, a node that dies, a requeue, parts."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.command_line import invoke
from fakes.places import ROOT
from fakes.processes import wait_for
from fakes.slurm import Slurm, slurm_cluster
from smlm_pipeline.engines import triton_wheel
from smlm_training.simulation.presets import preset_film

pytestmark = [pytest.mark.triton, pytest.mark.slurm, pytest.mark.timeout(600)]

SCRIPT = ROOT / "docker" / "slurm" / "recon.sbatch"
SERVER = ROOT / "docker" / "server" / "recon-server"
CLIENT = str(Path(sys.executable).parent / "recon-client")
SMALL = ("--slurm-cpus-per-task=1", "--slurm-mem=1000", "--slurm-time=10")
"""Options of sbatch that fit the nodes of the test."""

ON_GPU = (*SMALL, "--slurm-gres=gpu:1")

APPTAINER = """#!/bin/sh
[ "$1" = run ] || exit 9
shift
while [ $# -gt 0 ]; do
  case $1 in
  --env) export "$2"; shift 2 ;;
  --bind) [ -d "$2" ] || exit 9; shift 2 ;;
  --nv | --writable-tmpfs | --cleanenv) shift ;;
  *) break ;;
  esac
done
image=$1
shift
exec "$image" "$@"
"""
"""Runs an image that is a script, without a container."""

JOB_S = 200
"""Longest wait for a job, which takes a quarter of that on an idle machine."""

SLOWLY = ("--chunk-frames", "1", "--in-flight", "1", "--checkpoint-every-s", "0")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four films of 48 x 56 pixels; the second is the longest."""
    folder = tmp_path_factory.mktemp("films")
    paths = []
    for number, frames in enumerate((12, 200, 12, 12)):
        film = preset_film("microtubules", seed=number, frames=frames, height_px=48, width_px=56)
        paths.append(folder / f"film{number}.tif")
        tifffile.imwrite(paths[-1], film.frames_adu, photometric="minisblack")
    return paths


def _alone(film: Path, image: Path) -> NDArray[np.float32]:
    """The image of a run without Slurm and Triton."""
    assert invoke("submit", film, "--engine", "local", "-o", image, "-q").exit_code == 0
    pixels: NDArray[np.float32] = tifffile.imread(image)
    return pixels


def _wait(slurm: Slurm, job: str) -> None:
    """Wait until all tasks of a job have ended, some of them twice."""
    end = time.monotonic() + JOB_S
    while time.monotonic() < end:
        slurm.hurry(job)
        states = [each.split()[0] for each in slurm.tasks(job).values()]
        if all(each in ("COMPLETED", "FAILED", "CANCELLED") for each in states):
            return
        time.sleep(0.2)
    raise AssertionError(f"job {job} has not ended in {JOB_S} s: {states}\n{_log(slurm, job)}")


def _log(slurm: Slurm, job: str) -> str:
    return "\n".join(path.read_text() for path in sorted(slurm.folder.glob(f"{job}_*.log")))


def _segments() -> set[str]:
    """Shared memory of servers, those of other tests too."""
    return {path.name for path in Path("/dev/shm").glob("smlm_recon_*")}  # noqa: S108 - the kernel's


def _has_owner(segment: str) -> bool:
    """Whether the process that a segment's name states is there."""
    return Path("/proc", segment.split("_")[2]).exists()


def test_a_node_dies_and_all_films_have_the_same_bits(
    slurm: Slurm, films: list[Path], tmp_path: Path
) -> None:
    listed = tmp_path / "films.txt"
    listed.write_text("".join(f"{film}\n" for film in films))
    images = tmp_path / "images"
    images.mkdir()
    job = slurm.submit(
        SCRIPT,
        *(*ON_GPU, "--slurm-array=1-4"),
        *("films", listed, "-o", images, *SLOWLY),
        RECON_CLIENT=shlex.quote(CLIENT),
    )
    checkpoint = images / "film1.sr.checkpoint"
    wait_for(checkpoint.is_file, "the checkpoint of the second film")
    running = slurm.tasks(job)
    assert running["2"] == "RUNNING n2 0"
    segments = _segments()
    slurm.kill("n2", slurm.steps("n2"))
    wait_for(lambda: "n2" in slurm.call("sinfo", "-h", "-t", "down", "-o", "%N"), "the node's end")
    _wait(slurm, job)
    told = slurm.tasks(job)
    assert set(map(str, range(1, 5))) == set(told), _log(slurm, job)
    assert {state.split()[0] for state in told.values()} == {"COMPLETED"}, _log(slurm, job)
    assert told["2"] == "COMPLETED n1 1"
    assert "continuing from film1.sr.checkpoint" in _log(slurm, job)
    for film in films:
        name = f"{film.stem}.sr.ome.tif"
        expected = _alone(film, tmp_path / name)
        np.testing.assert_array_equal(tifffile.imread(images / name), expected)
        assert expected.sum() > 10
    assert not checkpoint.exists()
    left = {name for name in _segments() & segments if not _has_owner(name)}
    assert not left, "the next task of a node removes what a killed one left"


def _image(folder: Path) -> Path:
    """The server's start script, on a CPU, with the wheel's server in the place of the image's."""
    wheel, tools, backends = triton_wheel.wheel_folder(), folder / "bin", folder / "backends/python"
    tools.mkdir()
    backends.mkdir(parents=True)
    for file in (wheel / "backends" / "python").iterdir():
        (backends / file.name).symlink_to(file)
    (backends / "triton_python_backend_stub").symlink_to(triton_wheel.stub(wheel))
    (tools / "tritonserver").symlink_to(wheel / "bin" / "tritonserver")
    told = triton_wheel.environment(wheel)
    image = folder / "recon-server.sif"
    image.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH={shlex.quote(told['LD_LIBRARY_PATH'])} RECON_DEVICE=cpu\n"
        f"export PATH={shlex.quote(str(tools))}:{shlex.quote(told['PATH'])}\n"
        f'exec sh {shlex.quote(str(SERVER))} --backend-directory={backends.parent} "$@"\n'
    )
    apptainer = folder / "apptainer"
    apptainer.write_text(APPTAINER)
    for file in (image, apptainer):
        file.chmod(0o755)
    return image


def test_parts_with_a_server_for_each_that_are_told_to_end_merge_to_the_same_bits(
    slurm: Slurm, films: list[Path], tmp_path: Path
) -> None:
    image, parts = _image(tmp_path), tmp_path / "parts"
    variables = {
        "RECON_CLIENT": shlex.quote(CLIENT),
        "RECON_SERVER_IMAGE": str(image),
        "RECON_APPTAINER": str(image.with_name("apptainer")),
        "RECON_PLAN_CACHE": str(tmp_path / "plans"),
    }
    slurm.call("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=spared")
    asked = ("-o", tmp_path / "merged.tif", *SLOWLY)
    job = slurm.submit(
        SCRIPT, *ON_GPU, "--slurm-array=0-1", "part", films[1], parts, "2", *asked, **variables
    )
    after = f"--slurm-dependency=afterok:{job}"
    merge = slurm.submit(SCRIPT, *SMALL, after, "merge", parts, **variables)
    wait_for((parts / "0.checkpoint").is_file, "the checkpoint of the first part")
    slurm.call("scancel", "--batch", "--signal=TERM", f"{job}_0")  # as at the limit of its time
    _wait(slurm, job)
    _wait(slurm, merge)
    log = _log(slurm, job)
    assert slurm.tasks(job) == {"0": "COMPLETED n1 1", "1": "COMPLETED n1 0"}, log
    assert "continuing from 0.checkpoint" in log
    assert "Triton at 127.0.0.1:" in log
    pixels = tifffile.imread(tmp_path / "merged.tif")
    np.testing.assert_array_equal(pixels, _alone(films[1], tmp_path / "alone.tif"))


def test_a_task_that_its_user_cancels_stays_so_and_can_be_continued(
    slurm: Slurm, films: list[Path], tmp_path: Path
) -> None:
    listed, image = tmp_path / "films.txt", tmp_path / "image.tif"
    listed.write_text(f"{films[1]}\n")
    arguments = ("films", listed, "--engine", "local", "-o", image, *SLOWLY)
    variables = {"RECON_CLIENT": shlex.quote(CLIENT)}
    job = slurm.submit(SCRIPT, *SMALL, "--slurm-array=1", *arguments, **variables)
    checkpoint = tmp_path / "image.checkpoint"
    wait_for(checkpoint.is_file, "a checkpoint")
    slurm.call("scancel", job)
    _wait(slurm, job)
    time.sleep(3)  # the script has ended too, and has asked for nothing
    assert slurm.tasks(job)["1"].split()[0] == "CANCELLED", _log(slurm, job)
    assert checkpoint.is_file()
    job = slurm.submit(SCRIPT, *SMALL, "--slurm-array=1", *arguments, **variables)
    _wait(slurm, job)
    assert "continuing from image.checkpoint" in _log(slurm, job)
    np.testing.assert_array_equal(tifffile.imread(image), _alone(films[1], tmp_path / "alone.tif"))
