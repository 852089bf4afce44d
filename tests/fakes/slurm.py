"""A Slurm cluster of two nodes on this machine: the real controller and the real daemons.

They are Debian's (``apt-get install slurmctld slurmd slurm-client munge``, 10 s), and need root. A
cluster that the machine has already is neither asked nor changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakes.processes import alive, children, free_port, wait_for

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "runuser")

NODES = {"n1": "/dev/null", "n2": "/dev/zero"}
"""Nodes, and the device that stands for the GPU of each."""

_CONFIGURATION = """\
ClusterName=recon
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdTimeout=4
MessageTimeout=4
KillWait=5
GresTypes=gpu
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=1:00:00 State=UP
"""


def why_no_slurm() -> str | None:
    """What keeps a cluster from starting here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return (
            f"no {missing[0]} (on Debian: apt-get install --no-install-recommends slurmctld slurmd "
            "slurm-client munge)"
        )
    return "Slurm's daemons need root" if os.geteuid() else None


@dataclass(frozen=True)
class Slurm:
    """A running cluster; ``environment`` is that of its commands."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str | Path, **variables: str) -> str:
        """Run a command of Slurm, and return what it prints."""
        done = subprocess.run(
            command,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{command[0]} failed: {done.stderr}")
        return done.stdout

    def submit(self, script: Path, *arguments: str | Path, **variables: str) -> str:
        """Submit a batch script, with its options of sbatch first, and return the job's id."""
        log = f"--output={self.folder}/%A_%a.log"
        options = [each for each in arguments if str(each).startswith("--slurm-")]
        own = [str(each).replace("--slurm-", "--", 1) for each in options]
        others = [each for each in arguments if each not in options]
        return self.call("sbatch", "--parsable", log, *own, script, *others, **variables).strip()

    def tasks(self, job: str) -> dict[str, str]:
        """Tasks of a job by their numbers, and state, node and number of restarts of each."""
        lines = self.call("scontrol", "--oneliner", "show", "job", job).splitlines()
        facts = [dict(word.split("=", 1) for word in each.split() if "=" in word) for each in lines]
        return {
            each.get("ArrayTaskId", "0"): " ".join(
                [each["JobState"], each.get("NodeList", ""), each["Restarts"]]
            )
            for each in facts
        }

    def hurry(self, job: str) -> None:
        """Let tasks that were queued again begin: Slurm waits for two minutes."""
        for task, state in self.tasks(job).items():
            if state.startswith("PENDING") and not state.endswith(" 0"):
                with contextlib.suppress(AssertionError):  # it has begun meanwhile
                    self.call("scontrol", "update", f"JobId={job}_{task}", "StartTime=now")

    def kill(self, node: str, processes: Sequence[int]) -> None:
        """Let a node die: its daemon, and these processes with all that they started."""
        daemon = int((self.folder / f"{node}.pid").read_text())
        for pid in (daemon, *(each for root in processes for each in _tree(root))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def steps(self, node: str) -> list[int]:
        """The processes of Slurm that watch the jobs of a node."""
        scripts = f"{self.folder}/{node}/job"
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if scripts in each.read_bytes().decode(errors="replace"):
                    parent = (each.parent / "stat").read_text().rsplit(")", 1)[1].split()[1]
                    found.append(int(parent))
        return found


def _tree(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in _tree(child))]


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[Slurm]:
    """Start a cluster of two nodes with a GPU each, and end it with all its jobs."""
    configuration = folder / "slurm.conf"
    lines = [_CONFIGURATION.format(port=free_port(), folder=folder)]
    for node in NODES:
        (folder / node).mkdir()
        lines.append(
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=1 "
            "RealMemory=4000 Gres=gpu:1\n"
        )
    (folder / "state").mkdir()
    configuration.write_text("".join(lines))
    gpus = [f"NodeName={node} Name=gpu File={device}\n" for node, device in NODES.items()]
    (folder / "gres.conf").write_text("".join(gpus))
    slurm = Slurm(folder, {**os.environ, "SLURM_CONF": str(configuration)})
    with _munge():
        try:
            slurm.call("slurmctld", "-c", "-f", configuration)
            for node in NODES:
                slurm.call("slurmd", "-f", configuration, "-N", node)
            wait_for(lambda: slurm.call("sinfo", "-h", "-o", "%D%t") == "2idle\n", "two nodes")
            yield slurm
        finally:
            _end(slurm)


@contextlib.contextmanager
def _munge() -> Iterator[None]:
    """The daemon by which Slurm knows its users, if it does not run yet."""
    folder = Path("/run/munge")
    answers = subprocess.run(["munge", "-n"], capture_output=True, timeout=60, check=False)
    if answers.returncode == 0:
        yield
        return
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, "munge", "munge")
    subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True, timeout=60)
    try:
        yield
    finally:
        os.kill(int((folder / "munged.pid").read_text()), signal.SIGTERM)


def _end(slurm: Slurm) -> None:
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        slurm.call("scancel", "--full", "--signal=KILL", "--user=root")
    steps = [each for node in NODES for each in slurm.steps(node)]
    pids = [int(file.read_text()) for file in slurm.folder.glob("*.pid")]
    for pid in (*pids, *(each for step in steps for each in _tree(step))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if pid in pids else signal.SIGKILL)
    end = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
