"""Servers that join and leave a name while a film runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import write_film
from fakes.films import spots_adu
from fakes.processes import started, wait_for
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_bench.scaling.stand_in import NamedServers
from smlm_pipeline.contract import RECONSTRUCTION
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.engines.triton import connections
from smlm_pipeline.engines.triton.addresses import Address
from smlm_pipeline.errors import ContractError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

MODEL = RECONSTRUCTION.name

CUT = Settings(chunk_frames=1, brightness="off")


@dataclass
class Slow(ComputingTransport):
    """Computes, and takes its time; ``before`` is called first."""

    before: Callable[[], None] = lambda: None
    takes_s: float = 0.02
    requests: dict[str, Request] = field(default_factory=dict)
    looks: dict[str, Request] = field(default_factory=dict)

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self.before()
        time.sleep(self.takes_s)
        return super().sum_chunk(request)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is looked up with each request."""
    monkeypatch.setattr(connections, "LOOK_UP_LEAST_MS", 0)


@contextlib.contextmanager
def _two(first: ComputingTransport, **second: tuple[str, ...]) -> Iterator[list[FakeTriton]]:
    with FakeTriton(first) as one, FakeTriton(Slow(), **second) as two:  # type: ignore[arg-type]
        yield [one, two]


def _addresses(*servers: FakeTriton) -> NamedServers:
    return NamedServers(present=[server.servers.addresses[0] for server in servers])


def _after(requests: int, what: Callable[[], None]) -> Callable[[], None]:
    """A function that calls another, in one of the requests."""
    lock, left = threading.Lock(), [requests]

    def count() -> None:
        with lock:
            left[0] -= 1
            if left[0] == 0:
                what()

    return count


@pytest.mark.usefixtures("hurried")
def test_one_that_joins_gets_its_share_and_one_that_leaves_finishes(tmp_path: Path) -> None:
    film = tmp_path / "film.tif"
    tifffile.imwrite(film, spots_adu(60, 32, 32), photometric="minisblack")
    transport = Slow()
    with _two(transport) as (one, two), open_film(film) as stack:
        servers = _addresses(one)
        transport.before = _after(3, lambda: servers.present.extend(two.servers.addresses))
        with opening.server_engine(servers, MODEL) as engine:
            assert engine.count_servers() == 1
            joined = reconstruct(stack, engine, CUT)
            assert engine.count_servers() == 2
            counts = [one.answered, two.answered]
            assert sum(counts) == 60, "nothing was sent twice"
            assert counts[1] >= 15
            servers.present.remove(one.servers.addresses[0])
            left = reconstruct(stack, engine, CUT)
            assert engine.count_servers() == 1
        assert one.answered + two.answered == 120
        assert one.answered - counts[0] <= 4, "sent while the name was looked up"
        assert joined.failures == left.failures == 0
        alone = reconstruct(stack, ComputingTransport(), Settings())
    np.testing.assert_array_equal(joined.image, alone.image)
    np.testing.assert_array_equal(left.image, alone.image)


@pytest.mark.usefixtures("hurried")
def test_requests_of_a_server_that_leaves_are_answered(film: Path) -> None:
    """Its channel is closed when the last of them is, and not before."""
    transport = Slow(takes_s=0.5)
    with _two(transport) as (one, two), open_film(film) as stack:
        servers = _addresses(one)

        def move() -> None:
            servers.present[:] = two.servers.addresses

        transport.before = _after(1, move)
        with opening.server_engine(servers, MODEL) as engine:
            moved = reconstruct(stack, engine, CUT)
        assert moved.failures == 0
        assert one.answered >= 1
        assert one.answered + two.answered == 16


@pytest.mark.usefixtures("hurried")
def test_one_that_joins_with_another_network_ends_the_run_at_once(film: Path) -> None:
    transport = Slow()
    with _two(transport, versions=("11",)) as (one, two), open_film(film) as stack:
        servers = _addresses(one)
        transport.before = _after(3, lambda: servers.present.extend(two.servers.addresses))
        with (
            pytest.raises(ContractError, match=r"or joined with one during the run.* version 11"),
            opening.server_engine(servers, MODEL) as engine,
        ):
            reconstruct(stack, engine, Settings(chunk_frames=1, allow_partial=True))
        assert two.answered == 0


def test_a_name_is_looked_up_every_few_seconds_and_a_list_never(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    numeric = NamedServers.numeric

    def counted(self: NamedServers) -> list[Address]:
        asked.append(1)
        return numeric(self)

    monkeypatch.setattr(NamedServers, "numeric", counted)
    with _two(Slow(takes_s=0)) as (one, two), open_film(film) as stack:
        with opening.server_engine(_addresses(one, two), MODEL) as engine:
            before = len(asked)
            reconstruct(stack, engine, CUT)
            assert len(asked) == before, "within the first seconds"
        assert not two.servers.is_name


def _why_no_hosts() -> str | None:
    if shutil.which("unshare") is None or os.geteuid():
        return "a name of this test's own needs unshare (util-linux), and root"
    done = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    return "no namespaces for mounts here" if done.returncode else None


def test_grpc_finds_a_server_that_joins_a_real_name(tmp_path: Path) -> None:
    """The client's /etc/hosts, in a namespace of its own, gets a second line for the name."""
    if reason := _why_no_hosts():
        pytest.skip(reason)
    tifffile.imwrite(tmp_path / "film.tif", spots_adu(80, 32, 32), photometric="minisblack")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 gpus.test\n")
    with FakeTriton(Slow(takes_s=0.5)) as one:
        port = one.servers.addresses[0].port
        with FakeTriton(Slow(takes_s=0.5), host="127.0.0.2", port=port) as two:
            client = [str(Path(sys.executable).parent / "recon-client"), "submit", "film.tif"]
            asked = [*client, "--server", f"gpus.test:{port}", "--chunk-frames", "1"]
            mounted = 'mount --bind hosts /etc/hosts && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", mounted, "sh", *asked]
            with started(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
                wait_for(lambda: one.answered > 0 or process.poll() is not None, "an answer")
                with hosts.open("a") as file:
                    file.write("127.0.0.2 gpus.test\n")
                joined_s = time.monotonic()
                wait_for(
                    lambda: two.answered > 0 or process.poll() is not None, "one of the second"
                )
                assert time.monotonic() - joined_s < 12
                errors = process.communicate()[1]
            assert process.returncode == 0, errors
            assert two.answered >= 5
            assert one.answered + two.answered == 80
