"""The files of ``docker/slurm``, as far as they can be judged without Slurm; see e2e/test_slurm."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fakes.places import ROOT

SLURM = ROOT / "docker" / "slurm"
SCRIPT = SLURM / "recon.sbatch"

CLIENT = """#!/bin/sh
echo "$@" >> "$CALLS"
case $1 in submit) exit "${CODE:-0}" ;; esac
"""


def _run(
    folder: Path, *arguments: str | Path, **variables: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A task with a client that writes down how it was called."""
    client, calls = folder / "recon-client", folder / "calls"
    client.write_text(CLIENT)
    client.chmod(0o755)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "CALLS": str(calls),
        "TMPDIR": str(folder),
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "2",
        **variables,
    }
    done = subprocess.run(
        ["bash", SCRIPT, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_script_parses_and_asks_to_be_queued_again() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True, timeout=30)
    assert os.access(SCRIPT, os.X_OK)
    asked = re.findall(r"^#SBATCH (\S+)$", SCRIPT.read_text(), re.MULTILINE)
    assert {"--requeue", "--open-mode=append", "--signal=B:TERM@120"} <= set(asked)


def test_a_task_takes_its_line(tmp_path: Path) -> None:
    films = tmp_path / "films.txt"
    films.write_text("/data/a.tif\n/data/b 2.tif\n")
    done, calls = _run(tmp_path, "films", films, "-o", "out", "--refine", "auto")
    assert done.returncode == 0, done.stderr
    assert calls == ["submit /data/b 2.tif -o out --refine auto --resume"]
    done, calls = _run(tmp_path, "films", films, SLURM_ARRAY_TASK_ID="3")
    assert (done.returncode, len(calls)) == (2, 1)
    assert "has no line 3; expected --array=1-2" in done.stderr


def test_a_part_and_the_merging(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    done, calls = _run(tmp_path, "part", "film.tif", parts, "8", "--zoom", "4")
    assert done.returncode == 0, done.stderr
    assert calls == [
        f"submit film.tif --frames 2/8 --partial {parts}/2.npz --zoom 4 --resume",
    ]
    for number in (0, 1):
        (parts / f"{number}.npz").touch()
    _, calls = _run(tmp_path, "merge", parts, "-o", "x.tif")
    assert calls[1] == f"merge {parts}/0.npz {parts}/1.npz -o x.tif"


def test_a_task_ends_with_the_code_of_its_client(tmp_path: Path) -> None:
    films = tmp_path / "films.txt"
    films.write_text("a.tif\nb.tif\n")
    done, _ = _run(tmp_path, "films", films, CODE="3")
    assert done.returncode == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp.")] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected films, part or merge"),
        (("movies",), "the first argument is 'movies'"),
        (("films",), "expected films LIST"),
        (("part", "film.tif"), "expected part FILM FOLDER PARTS"),
        (("merge",), "expected merge FOLDER"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done, calls = _run(tmp_path, *arguments)
    assert (done.returncode, calls) == (2, [])
    assert told in done.stderr


def test_a_server_without_an_image_is_refused(tmp_path: Path) -> None:
    films = tmp_path / "films.txt"
    films.write_text("a.tif\nb.tif\n")
    done, _ = _run(tmp_path, "films", films, RECON_SERVER_IMAGE="none.sif")
    assert (done.returncode, "RECON_SERVER_IMAGE is 'none.sif'" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["server", "client"])
def test_recipes_are_those_of_the_images(name: str) -> None:
    text = (SLURM / f"recon-{name}.def").read_text()
    assert re.findall(r"^Bootstrap: (.+)$", text, re.MULTILINE) == ["docker-archive"]
    assert f"docker build -f docker/{name}/Dockerfile -t smlm-recon-{name} ." in text
    sections = re.findall(r"^%(\w+)$", text, re.MULTILINE)
    assert sections == ["arguments", "runscript", "test"]
    script = text.split("%runscript\n")[1].split("%test")[0]
    subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=30)
