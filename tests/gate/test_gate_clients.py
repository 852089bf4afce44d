"""Who is admitted, and what the file of clients may state."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.errors import SettingError
from smlm_pipeline.gate.clients import ANONYMOUS, BURST_S, Client, Clients, Limits
from smlm_pipeline.gate.counts import Counts

LIMITS = Limits(2, 100, 1 << 20, 10.0)
TOKEN = "d0f5adcd2b0588cb"  # noqa: S105 - of this test alone
SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()
SOUND = f"""
microscope-3:
  token_sha256: {SHA256}
  requests: 4
alice:
  certificate: alice.lab
  megabytes_per_s: 2.5
"""


def _read(folder: Path, text: str) -> Clients:
    (folder / "clients.yaml").write_text(text)
    return Clients.read(folder / "clients.yaml", LIMITS)


def test_listed_clients_alone_are_admitted(tmp_path: Path) -> None:
    clients = _read(tmp_path, SOUND)
    microscope = clients.find(TOKEN, [], "ipv4:10.0.0.1")
    alice = clients.find(None, ["other", "alice.lab"], "ipv4:10.0.0.1")
    assert microscope is not None
    assert alice is not None
    assert (microscope.name, microscope.limits) == ("microscope-3", Limits(4, 100, 1 << 20, 10.0))
    assert (alice.name, alice.limits) == ("alice", Limits(2, 100, 1 << 20, 2.5))
    assert clients.find(SHA256, ["microscope-3", "bob.lab"], "ipv4:10.0.0.1") is None
    assert clients.find(None, [], "ipv4:10.0.0.1") is None


def test_without_a_file_each_address_and_certificate_has_its_own_limits() -> None:
    clients = Clients.read(None, LIMITS)
    first = clients.find(None, [], "ipv4:10.0.0.1")
    assert first is clients.find("any", [], "ipv4:10.0.0.1")
    assert first is not clients.find(None, [], "ipv4:10.0.0.2")
    certified = clients.find(None, ["alice.lab"], "ipv4:10.0.0.1")
    assert certified is not None
    assert first is not None
    assert (certified.name, first.name) == ("alice.lab", ANONYMOUS)


def test_clients_that_do_nothing_are_forgotten() -> None:
    clients = Clients.read(None, LIMITS)
    busy = clients.find(None, [], "busy")
    assert busy is not None
    busy.under_way = 1
    for number in range(3000):
        clients.find(None, [], f"address {number}")
    assert len(clients._others) < 1200
    assert clients.find(None, [], "busy") is busy


def test_a_rate_lets_a_burst_pass_and_then_waits() -> None:
    client = Client("alice", LIMITS)  # 10 MB/s
    now_s = 1000.0
    assert client.pause_s(int(10e6 * BURST_S), now_s) == 0
    assert client.pause_s(5_000_000, now_s) == pytest.approx(0.5)
    assert client.pause_s(5_000_000, now_s + 1.0) == pytest.approx(0.0)
    assert client.pause_s(5_000_000, now_s + 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "is no YAML"),
        ("- a", "lists no clients"),
        ("{}", "lists no clients"),
        ("a: 1", "is no name with a mapping"),
        ('"a\\nb": {certificate: x}', "is no name with a mapping"),
        ("a: {requests: 3}", "expected either token_sha256 or certificate"),
        (f"a: {{token_sha256: {SHA256}, certificate: b}}", "expected either token_sha256"),
        ("a: {certificate: b, tokens: 3}", "expected either token_sha256"),
        (f"a: {{token_sha256: {TOKEN}}}", "expected 64 digits"),
        ("a: {certificate: b, requests: 0}", "has requests 0; expected a number above 0"),
        ("a: {certificate: b, frames: 1.5}", "has frames 1.5; expected a number"),
        ("a: {certificate: b, pixels: true}", "has pixels True; expected a number"),
        ("a: {certificate: c}\nb: {certificate: c}", "has one certificate for 'a' and 'b'"),
    ],
)
def test_files_of_another_form(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        _read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        Clients.read(tmp_path / "none.yaml", LIMITS)


def test_listed_clients_have_to_be_recognisable(tmp_path: Path) -> None:
    clients = _read(tmp_path, SOUND)
    with pytest.raises(SettingError, match="tokens would travel in clear"):
        clients.check_recognisable(None)
    certificate = tmp_path / "certificate.pem"
    with pytest.raises(SettingError, match="expected --tls-ca"):
        clients.check_recognisable(ServerTls(certificate, certificate))
    clients.check_recognisable(ServerTls(certificate, certificate, certificate))
    Clients.read(None, LIMITS).check_recognisable(None)


def test_counts_are_prometheus_text() -> None:
    counts = Counts()
    counts.answered("alice", 16, 1000, 20)
    counts.answered("alice", 16, 1000, 20)
    counts.refused("alice", "INVALID_ARGUMENT")
    lines = counts.as_text([Client("alice", LIMITS, under_way=3)]).splitlines()
    for line in (
        'recon_gate_requests_total{client="alice",code="OK"} 2',
        'recon_gate_requests_total{client="alice",code="INVALID_ARGUMENT"} 1',
        'recon_gate_bytes_total{client="alice",way="in"} 2000',
        'recon_gate_bytes_total{client="alice",way="out"} 40',
        'recon_gate_frames_total{client="alice"} 32',
        'recon_gate_under_way{client="alice"} 3',
    ):
        assert line in lines
    assert all(line.startswith(("# HELP", "# TYPE", "recon_gate_")) for line in lines)
