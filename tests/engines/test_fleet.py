"""Several servers as one: who is asked, who is left out, who must agree, and that all get work."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke, names, one_line, write_film
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.contract import RECONSTRUCTION
from smlm_pipeline.engines import fleet, opening
from smlm_pipeline.engines.fleet import Fleet
from smlm_pipeline.engines.triton import addresses, transport
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import ContractError, ServerError, ServerFullError, TransientServerError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run import dispatch
from smlm_pipeline.settings import Settings

MODEL = RECONSTRUCTION.name
PATIENCE_S = 60.0

BROKEN = {
    "died": (grpc.StatusCode.INTERNAL, "Stub process 'unet_0_0' is not healthy."),
    "stopping": (grpc.StatusCode.NOT_FOUND, "unknown model: 'm' has no available versions"),
    "full": (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"),
}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full server is as good as one that is gone."""
    monkeypatch.setattr(dispatch, "FULL_PATIENCE_S", 0.0)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


@pytest.fixture
def closed() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def two() -> Iterator[tuple[FakeTriton, FakeTriton]]:
    with FakeTriton(ComputingTransport()) as first, FakeTriton(ComputingTransport()) as second:
        yield first, second


def test_all_get_work_and_the_image_is_that_of_one(
    film: Path, two: tuple[FakeTriton, FakeTriton]
) -> None:
    servers = ",".join(server.address for server in two)
    cut = ("--chunk-frames", "1", "--overwrite")
    result = invoke("submit", film, "--json", *cut, "--server", servers)
    assert result.exit_code == 0, result.output
    shared = tifffile.imread(film.with_name("film.sr.ome.tif"))
    counts = [server.answered for server in two]
    assert sum(counts) == 16
    assert min(counts) >= 4
    told = json.loads(result.stdout)
    assert told["engine"] == f"Triton at {two[0].address} and {two[1].address}"
    assert invoke("submit", film, "--json", *cut, server=two[0].address).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(film.with_name("film.sr.ome.tif")), shared)


@pytest.mark.parametrize("why", BROKEN)
def test_one_that_fails_is_left_to_the_others(
    film: Path,
    two: tuple[FakeTriton, FakeTriton],
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    """After the start, when both have been asked and are part of the run."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_S", 0.01)
    both = ",".join(server.address for server in two)
    with open_film(film) as stack, opening.server_engine(Servers.parse(both), MODEL) as engine:
        two[1].failure = BROKEN[why]
        cut = Settings(chunk_frames=1, attempts=20)
        shared = reconstruct(stack, engine, cut)
        alone = reconstruct(stack, ComputingTransport(), Settings())
    assert engine.count_servers() == 2
    assert two[0].answered == 16
    np.testing.assert_array_equal(shared.image, alone.image)


def test_one_that_fails_gets_nothing_for_a_while(
    film: Path, two: tuple[FakeTriton, FakeTriton]
) -> None:
    """Round robin alone would send it every other request, for ever."""
    two[1].failure = BROKEN["died"]
    both = ",".join(server.address for server in two)
    deadline = time.monotonic() + PATIENCE_S
    in_a_row = 0
    with open_film(film) as stack, TritonTransport(Servers.parse(both)) as transport:
        while in_a_row < 20:
            assert time.monotonic() < deadline
            try:
                reconstruct(stack, transport, Settings(attempts=1))
                in_a_row += 1
            except TransientServerError:
                in_a_row = 0


def test_a_proxy_of_the_environment_is_not_asked_for_lists_and_numbers(
    two: tuple[FakeTriton, FakeTriton], closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC would, and for a list whatever ``no_proxy`` says."""
    monkeypatch.setenv("http_proxy", f"http://{closed}")
    for address in (two[0].address, ",".join(server.address for server in two)):
        with TritonTransport(Servers.parse(address)) as transport:
            assert transport.served_network().version == "10"


def test_a_model_that_died_on_a_single_server(
    film: Path, two: tuple[FakeTriton, FakeTriton]
) -> None:
    """It may be started again, and is waited for as long as one that is gone."""
    two[0].failure = BROKEN["died"]
    with open_film(film) as stack, TritonTransport(two[0].servers) as transport:
        assert transport.server_count == 1
        with pytest.raises(ServerError, match=r"died on the server at .* has to be restarted"):
            reconstruct(stack, transport, Settings(attempts=2))


def test_a_single_server_is_never_left_out(film: Path, two: tuple[FakeTriton, FakeTriton]) -> None:
    """A full queue is a reason to send less, and not for a rest of five seconds."""
    two[0].failure = BROKEN["full"]
    with open_film(film) as stack, TritonTransport(two[0].servers) as transport:
        for _ in range(3):
            with pytest.raises(TransientServerError, match="Exceeds maximum queue size"):
                reconstruct(stack, transport, Settings(attempts=1))
        two[0].failure = None
        assert reconstruct(stack, transport, Settings(attempts=1)).frame_count == 16


def test_a_run_that_had_failures_tells(film: Path) -> None:
    """A server that is sick for long would else be seen by nobody."""
    with FakeTriton(ComputingTransport()) as server, FakeTriton(ComputingTransport()) as sick:
        sick.failure = BROKEN["died"]
        servers = f"{server.address},{sick.address}"
        cut = ("--chunk-frames", "1", "--in-flight", "4")
        result = invoke("submit", film, "--json", *cut, "--server", servers)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["failures"] >= 1
    assert "for reasons that may pass" in told["notes"][-1]


def test_who_does_not_answer_is_left_out_and_told(
    film: Path, two: tuple[FakeTriton, FakeTriton], closed: str
) -> None:
    servers = f"{closed},{two[0].address},nonesuch.invalid:8001,{two[1].address}"
    result = invoke("submit", film, "--json", "--server", servers)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["engine"] == f"Triton at {two[0].address} and {two[1].address}"
    assert told["notes"][-1] == (
        f"no answer from {closed} and nonesuch.invalid:8001; continuing with {two[0].address} and "
        f"{two[1].address} (see 'recon-client status')"
    )


@pytest.mark.parametrize("command", ["submit", "status"])
def test_none_answers(film: Path, closed: str, command: str) -> None:
    servers = f"{closed},nonesuch.invalid:8001"
    arguments = ("submit", film, "--quiet") if command == "submit" else ("status",)
    result = invoke(*arguments, "--server", servers)
    assert result.exit_code == 4
    assert f"none of {closed} and nonesuch.invalid:8001 answers; the first: " in one_line(result)
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("command", ["submit", "status"])
def test_a_single_name_that_is_not_known(film: Path, command: str) -> None:
    arguments = ("submit", film, "--quiet") if command == "submit" else ("status",)
    result = invoke(*arguments, "--server", "nonesuch.invalid:8001")
    assert result.exit_code == 4
    assert "the name of server nonesuch.invalid:8001 cannot be looked up" in one_line(result)


@pytest.mark.parametrize("command", ["submit", "status"])
def test_different_networks_are_not_mixed(
    film: Path, two: tuple[FakeTriton, FakeTriton], command: str
) -> None:
    arguments = ("submit", film, "--quiet") if command == "submit" else ("status",)
    with FakeTriton(ComputingTransport(), versions=("11",)) as newer:
        result = invoke(*arguments, "--server", f"{two[0].address},{newer.address}")
    assert result.exit_code == 5
    assert (
        f"different networks for 'reconstruction': {two[0].address} has version 10, "
        f"{newer.address} has version 11"
    ) in result.stderr
    assert names(film.parent) == ["film.tif"]


@pytest.mark.parametrize("command", ["submit", "status"])
def test_one_of_another_contract_is_named(
    film: Path, two: tuple[FakeTriton, FakeTriton], command: str
) -> None:
    arguments = ("submit", film, "--quiet") if command == "submit" else ("status",)
    with FakeTriton(ComputingTransport(), contract_version="99") as other:
        result = invoke(*arguments, "--server", f"{two[0].address},{other.address}")
    assert result.exit_code == 5
    assert f"server at {other.address}" in result.stderr


def test_a_network_that_is_renewed_during_the_run_is_told(
    film: Path, two: tuple[FakeTriton, FakeTriton]
) -> None:
    both = ",".join(server.address for server in two)
    told = rf"during the run, which began with version 10: {two[1].address} has version 11; exp"
    opened = opening.server_engine(Servers.parse(both), MODEL)
    with open_film(film) as stack:
        reconstruct(stack, opened.__enter__(), Settings(chunk_frames=1))
    two[1].network_versions = ("11",)
    with pytest.raises(ContractError, match=told):
        opened.__exit__(None, None, None)


def test_servers_that_end_after_the_last_answer_are_not_missed(film: Path) -> None:
    with FakeTriton(ComputingTransport()) as server:
        opened = opening.server_engine(server.servers, MODEL)
        with open_film(film) as stack, opened as engine:
            assert reconstruct(stack, engine.transport, Settings()).frame_count == 16
            server.__exit__()


def test_status_of_several(two: tuple[FakeTriton, FakeTriton], closed: str) -> None:
    servers = f"{two[0].address},{closed},{two[1].address}"
    table = invoke("status", "--server", servers, "--no-canary")
    told = invoke("status", "--server", servers, "--json", "--no-canary")
    assert table.exit_code == told.exit_code == 0
    for server in two:
        assert f"Triton 2.51.0 at {server.address}: ready" in table.stdout
    assert f"{closed}: no Triton server answers" in table.stdout
    state = json.loads(told.stdout)
    assert state["fits"] is True
    assert [each["address"] for each in state["servers"]] == servers.split(",")
    assert [each["fits"] for each in state["servers"]] == [True, False, True]
    assert "no Triton server answers at" in state["servers"][1]["error"]


def test_a_name_of_several_servers_is_asked_at_each(
    two: tuple[FakeTriton, FakeTriton], closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not answer of those that a name stands for is nobody's concern."""
    numeric = Servers.parse(f"{two[0].address},{two[1].address},{closed}").addresses

    def look_up(address: Address) -> tuple[Address, ...]:
        return numeric if address.host == "gpus" else (address,)

    monkeypatch.setattr(addresses, "look_up", look_up)
    states = fleet.server_states(Servers.parse("gpus:8001"), MODEL)
    assert tuple(states) == numeric
    assert isinstance(states[numeric[-1]], ServerError)
    with opening.server_engine(Servers.parse("gpus:8001"), MODEL) as engine:
        assert engine.description == "Triton at gpus:8001"
        assert engine.notes == ()
        assert engine.count_servers() == 3


class _Started:
    """A server that runs already, and has no fault."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.process = SimpleNamespace(fault=lambda: None, work=lambda: (0.0, 0), threads=dict)

    def start(self, unwanted: threading.Event) -> None:
        assert not unwanted.is_set()

    def stop(self) -> None:
        pass


def test_a_model_of_another_name_in_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which this client does not know where its network lies."""
    with FakeTriton(ComputingTransport(), models=("mine",)) as server:
        started = _Started(server.servers)
        monkeypatch.setattr(
            "smlm_pipeline.engines.embedded.EmbeddedServer", lambda _, **__: started
        )
        with opening.embedded_engine(None, "mine") as engine:
            assert (engine.model_version, engine.network_sha256) == ("10", "")


@pytest.mark.parametrize(("second", "shared"), [("0.1 0.2", {3: (0.1, 0.2)}), ("0.1 0.3", {})])
def test_what_all_servers_state_is_taken(
    two: tuple[FakeTriton, FakeTriton], second: str, shared: dict[int, tuple[float, ...]]
) -> None:
    for server, stated in zip(two, ("0.1 0.2", second), strict=True):
        server.class_borders_px = stated
        server.trained_ranges = f"sigma_px {stated}"
    servers = Servers.parse(",".join(server.address for server in two))
    with opening.server_engine(servers, MODEL) as engine:
        assert engine.class_borders_px == shared
        assert engine.trained_ranges == ({"sigma_px": shared[3]} if shared else {})


class _Busy(FakeTriton):
    """Refuses questions about the model for a while, as a gate does."""

    refusals = 0

    def _metadata(self, question: Any, context: grpc.ServicerContext) -> Any:
        if self.refusals:
            self.refusals -= 1
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "c1 asks 8 questions at once")
        return super()._metadata(question, context)


def test_a_question_that_was_refused_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no version counts as unchanged that could not be asked for."""
    monkeypatch.setattr(transport, "QUESTION_PAUSES_S", (0.01, 0.01, 0.01))
    triton = _Busy(ComputingTransport())
    with triton:
        triton.refusals = 2
        running = Fleet.of(triton.servers, MODEL)
        triton.refusals = 3
        running.check_unchanged()
        assert not triton.refusals
        triton.refusals = 100
        with pytest.raises(ServerFullError, match=r"is busy \(c1 asks 8 questions at once\)"):
            running.check_unchanged()
        triton.refusals, triton.versions = 3, ("11",)
        triton.network_versions = triton.versions
        with pytest.raises(ContractError, match="switched to another network"):
            running.check_unchanged()
    running.check_unchanged()  # it has ended since
