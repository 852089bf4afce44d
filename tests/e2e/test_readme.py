"""The commands and the Python example of the README and of docs/tour.md run as written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.places import ROOT
from fakes.processes import finished, free_port, started
from smlm_pipeline.engines.embedded import EmbeddedServer

README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "tour.md").read_text()
COMMANDS = [
    line
    for page in (README, TOUR)
    for block in re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    for line in block.splitlines()
]
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    simulate: list[str | Path] = [SCRIPTS / "recon-train", "simulate", ".", "--frames", "20"]
    assert finished(simulate, cwd=tmp_path).returncode == 0
    shutil.copytree(ROOT / "model_repository", tmp_path / "model_repository")
    return tmp_path


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """Ends the servers that a test starts."""
    with ExitStack() as stack:
        yield stack


def test_make_targets_are_run_by_ci() -> None:
    """``make demo`` and ``make test`` cannot run inside of ``make test``: CI runs both."""
    targets = {line.split()[1] for line in COMMANDS if line.startswith("make ")}
    assert targets == {"demo", "test"}
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(f"make {target}\n" in ci for target in targets)


def test_tritonserver_is_started_as_the_readme_says() -> None:
    (line,) = [line for line in COMMANDS if line.startswith("tritonserver ")]
    server = EmbeddedServer(ROOT / "model_repository")
    given = dict(argument.split("=", 1) for argument in server._arguments() if "=" in argument)
    said = dict(argument.split("=", 1) for argument in shlex.split(line)[1:])
    assert said.pop("--model-repository") == "model_repository"
    assert Path(given["--model-repository"]).name == "models"  # a link to that folder
    assert said == {name: given[name] for name in said}


@pytest.mark.triton
@pytest.mark.training
def test_commands_run_in_their_order(folder: Path, servers: ExitStack) -> None:
    commands = [line for line in COMMANDS if line.startswith("recon-")]
    assert len(commands) >= 14
    port = str(free_port())  # 8001 may be taken where tests run
    for line in commands:
        _run(line.replace("8001", port), folder, servers)
    made = {path.name for path in folder.iterdir()}
    assert {"stack.sr.ome.tif", "stack.sr.png", "fine.ome.tif", "fine.png"} <= made
    assert (folder / "model_repository/unet/2/model.json").exists()


def _run(line: str, folder: Path, servers: ExitStack) -> None:
    program, *arguments = shlex.split(line)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if arguments[0] == "serve":
        serving = servers.enter_context(
            started([SCRIPTS / program, *arguments], cwd=folder, stdout=subprocess.PIPE)
        )
        assert serving.stdout is not None
        assert f"127.0.0.1:{arguments[-1]}" in serving.stdout.readline()
        return
    if arguments[0] == "fit":
        arguments += ["--steps", "4"]  # hours otherwise
    if arguments[0] == "publish":  # scores all films: minutes
        _run(
            f"recon-train export {arguments[1]} -o exported/model.onnx --film uniform-1",
            folder,
            servers,
        )
        arguments[1] = "exported/model.onnx"
    done = finished([SCRIPTS / program, *arguments], cwd=folder, env=environment)
    assert done.returncode == 0, f"{line}: {done.stderr}"


def test_python_example_runs(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("(512, 512) ")
    assert run.stdout.endswith(" emitters\n")
    assert (folder / "again.ome.tif").exists()
