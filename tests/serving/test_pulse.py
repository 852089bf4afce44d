"""A model's process that was stopped, or whose clock went back, must not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from smlm_pipeline.serving import pulse
from smlm_pipeline.serving.pulse import Pulse, Stub


class Clocks:
    """Three clocks that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic_s = self.wall_s = self.cpu_s = 1000.0
        monkeypatch.setattr("smlm_pipeline.serving.pulse.time.monotonic", lambda: self.monotonic_s)
        monkeypatch.setattr("smlm_pipeline.serving.pulse.time.time", lambda: self.wall_s)
        monkeypatch.setattr("smlm_pipeline.serving.pulse.time.process_time", lambda: self.cpu_s)
        monkeypatch.setattr("smlm_pipeline.serving.pulse.threading.Thread.start", lambda _: None)

    def pass_by(self, seconds: float, *, working: bool = False) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds
        self.cpu_s += seconds if working else 0.0


def test_a_steady_process(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    beating = Pulse()
    for _ in range(30):
        clocks.pass_by(0.3)
        assert not beating.stalled()
    clocks.pass_by(5.0, working=True)  # another thread computed, and let none run
    assert not beating.stalled()


def test_a_stop_is_remembered_for_as_long_as_its_request_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = Clocks(monkeypatch)
    beating = Pulse()
    clocks.pass_by(0.7)
    assert beating.stalled()
    clocks.pass_by(0.1)
    assert beating.stalled()
    for _ in range(30):
        clocks.pass_by(0.1)
        beating._note()
    assert not beating.stalled()


@pytest.mark.parametrize(("by_s", "counts"), [(-0.3, True), (-3600, True), (3600, False)])
def test_a_step_of_the_clock(monkeypatch: pytest.MonkeyPatch, by_s: float, counts: bool) -> None:
    clocks = Clocks(monkeypatch)
    beating = Pulse()
    clocks.pass_by(0.1)
    clocks.wall_s += by_s
    assert beating.stalled() is counts


def test_only_a_process_of_triton_ends_itself() -> None:
    stub = Stub()
    assert stub._pulse is None
    stub.end_if_stalled()


@pytest.mark.skipif(sys.platform != "linux", reason="signals a process")
def test_a_process_that_was_stopped_ends_instead_of_answering() -> None:
    code = """
import sys, time
from smlm_pipeline.serving import pulse
pulse._is_stub = lambda: True
stub = pulse.Stub()
for _ in range(100):
    print("answer", flush=True)
    time.sleep(0.05)
    stub.end_if_stalled()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"answer\n"
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == pulse.STALLED_STATUS
