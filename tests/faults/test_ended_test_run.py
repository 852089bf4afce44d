"""A test run that is ended by a signal leaves nothing, whatever its tests were doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.places import ROOT
from fakes.processes import PATIENCE_S, alive, started, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's prctl")

IN_A_CHILD = """
def test_a_child(tmp_path):
    with started(["sleep", "600"]) as child:
        announce(child)
        child.wait()
"""

IN_A_COMMAND = """
def test_a_command(tmp_path):
    with started(["sleep", "600"]) as child:
        with pytest.raises(SystemExit), door():
            announce(child)
            child.wait()

def test_another():
    Path("continued").touch()
"""

HEAD = """
from pathlib import Path
import pytest
from fakes.processes import started
from smlm_pipeline.cli.exit_codes import door

def announce(child):
    Path("child.part").write_text(str(child.pid))
    Path("child.part").rename("child")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("body", [IN_A_CHILD, IN_A_COMMAND], ids=["child", "command"])
def test_a_signal_ends_all(body: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(HEAD + body)
    command = [sys.executable, "-m", "pytest", "-p", "fakes.termination", "--rootdir", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    child = tmp_path / "child"
    with started(
        [*command, "test_long.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as run:
        wait_for(lambda: child.exists() or run.poll() is not None, "the test to start a process")
        assert run.poll() is None, run.communicate()
        run.send_signal(number)
        output, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert ("ended by SIGTERM" in output) is (number == signal.SIGTERM)
    wait_for(lambda: not alive(int(child.read_text())), "the child to end")
    assert not (tmp_path / "continued").exists()
