"""``recon-client`` and servers elsewhere: none, another one, the right one."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke, names, one_line, submit, take_for_local, write_film
from fakes.transports import ComputingTransport, ScriptedTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline import contract
from smlm_pipeline.run import dispatch


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


@pytest.fixture
def closed_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_no_server_to_submit_to(film: Path, closed_address: str) -> None:
    result = invoke("submit", film, "--server", closed_address, "--quiet")
    assert result.exit_code == 4
    message = one_line(result)
    assert f"no Triton server answers at {closed_address}" in message
    assert "recon-client serve" in message
    assert names(film.parent) == ["film.tif"]


def test_no_server_to_ask(closed_address: str) -> None:
    result = invoke("status", "--server", closed_address)
    assert result.exit_code == 4
    assert f"no Triton server answers at {closed_address}" in one_line(result)


@pytest.mark.parametrize(
    "address", ["8001", "localhost", "localhost:", ":8001", "http://localhost:8001", "host:grpc"]
)
def test_malformed_address(film: Path, address: str) -> None:
    for arguments in (["submit", film, "--quiet"], ["status"]):
        result = invoke(*arguments, "--server", address)
        assert result.exit_code == 2
        assert f"server is '{address}'; expected HOST:PORT" in one_line(result)


def test_server_from_the_environment(film: Path) -> None:
    transport = ComputingTransport()
    with FakeTriton(transport) as server:
        result = invoke("submit", film, "--json", server=server.address)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["engine"] == f"Triton at {server.address}"
    assert told["model_version"] == "10"
    assert transport.requests


def test_image_through_a_server_is_the_one_without(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    assert submit(film, "--quiet").exit_code == 0
    local = film.with_name("film.sr.ome.tif").read_bytes()
    with FakeTriton(ComputingTransport()) as server:
        served = film.with_name("served.tif")
        options = ("-o", served, "--server", server.address, "--chunk-frames", "5")
        assert invoke("submit", film, "--quiet", *options).exit_code == 0
    np.testing.assert_array_equal(
        tifffile.imread(served), tifffile.imread(film.with_name("film.sr.ome.tif"))
    )
    assert film.with_name("film.sr.ome.tif").read_bytes() == local


def test_server_of_another_contract(film: Path) -> None:
    with FakeTriton(ComputingTransport(), contract_version="99") as server:
        submitted = invoke("submit", film, "--server", server.address, "--quiet")
        asked = invoke("status", "--server", server.address)
    assert submitted.exit_code == asked.exit_code == 5
    assert "under contract version 99; this client speaks" in one_line(submitted)
    assert "install the client and the model repository of one release" in one_line(submitted)
    assert "does not fit this client" in asked.stderr
    assert "99" in asked.stdout
    assert names(film.parent) == ["film.tif"]


def test_status() -> None:
    with FakeTriton(ComputingTransport()) as server:
        table = invoke("status", "--server", server.address, "--no-canary")
        told = invoke("status", "--server", server.address, "--json", "--no-canary")
    assert table.exit_code == told.exit_code == 0
    assert f"Triton 2.51.0 at {server.address}: ready" in table.stdout
    state = json.loads(told.stdout)
    assert (state["ready"], state["fits"]) == (True, True)
    for model in contract.MODELS:
        assert model.name in table.stdout
    assert [model["name"] for model in state["models"]] == [m.name for m in contract.MODELS]


def test_a_server_with_one_of_the_ensembles() -> None:
    """What is missing is shown, and only matters to those who ask for it."""
    drawing = ("unet", "summation", "reconstruction")
    with FakeTriton(ComputingTransport(), models=drawing) as server:
        asked = {
            model: invoke(
                *("status", "--server", server.address, "--model", model, "--json", "--no-canary")
            )
            for model in contract.ENSEMBLES
        }
        by_default = invoke("status", "--server", server.address, "--no-canary")
    assert {model: each.exit_code for model, each in asked.items()} == {
        "reconstruction": 0,
        "reconstruction_fast": 5,
        "reconstruction_map": 5,
    }
    assert by_default.exit_code == 0
    assert by_default.stdout.count("yes") == 2 * len(drawing)
    told = json.loads(asked["reconstruction"].stdout)
    assert (told["asked"], told["fits"]) == ("reconstruction", True)
    missing = {model["name"] for model in told["models"] if not model["ready"]}
    assert missing == {model.name for model in contract.MODELS} - set(drawing)
    assert "'reconstruction_map' of the server at" in asked["reconstruction_map"].stderr


def test_submitting_to_a_server_without_the_ensemble(film: Path) -> None:
    drawing = ("unet", "summation", "reconstruction")
    with FakeTriton(ComputingTransport(), models=drawing) as server:
        options = ("--server", server.address, "--quiet")
        lacking = invoke("submit", film, "--model", "reconstruction_map", *options)
        assert names(film.parent) == ["film.tif"]
        served = invoke("submit", film, *options)
    assert lacking.exit_code == 5
    assert "has no model 'reconstruction_map' that is ready" in one_line(lacking)
    assert "start it on this project's model_repository" in one_line(lacking)
    assert served.exit_code == 0


def test_a_port_in_use_to_serve_at() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = invoke("serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 4
    assert "choose another with --port" in one_line(result)


def test_how_often_and_how_long_a_request_is_tried(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays full, and one that never answers."""
    monkeypatch.setattr(dispatch, "FULL_PATIENCE_S", 0.0)
    ended = threading.Event()

    def wait(_label: str) -> None:
        ended.wait(60)

    silent = ScriptedTransport(before=wait)
    with FakeTriton(ComputingTransport()) as full, FakeTriton(silent) as slow:
        full.failure = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
        options = ("--quiet", "--attempts", "1", "--timeout-s", "1", "--server")
        refused = invoke("submit", film, *options, full.address)
        unanswered = invoke("submit", film, *options, slow.address)
        ended.set()
    assert refused.exit_code == unanswered.exit_code == 4
    assert "Exceeds maximum queue size (sent once; see whether" in one_line(refused)
    assert "Deadline Exceeded; --timeout-s allows it more time (sent" in one_line(unanswered)
    assert names(film.parent) == ["film.tif"]
