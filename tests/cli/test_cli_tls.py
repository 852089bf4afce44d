"""TLS: the options of clients and servers, and a plain word for each way in which it fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.certificates import authority, issued, needs_openssl, other_authority
from fakes.command_line import invoke, one_line, write_film
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.engines.triton import tls_faults
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.tls import ClientTls
from smlm_pipeline.errors import SettingError

pytestmark = needs_openssl

CA_ONLY = ("--tls-ca", "CA")


@dataclass(frozen=True)
class Ports:
    """Addresses of a server without TLS, with TLS, and with TLS for certified clients alone."""

    plain: str
    tls: str
    mutual: str
    expired: str
    other_name: str


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    ca = authority().ca.read_bytes()
    triton = FakeTriton(ComputingTransport())

    def secure(certificate: Path, key: Path, clients_ca: bytes | None = None) -> str:
        pair = (key.read_bytes(), certificate.read_bytes())
        return triton.listen(
            grpc.ssl_server_credentials([pair], clients_ca, clients_ca is not None)
        )

    found = Ports(
        triton.address,
        secure(*issued("server")),
        secure(*issued("server"), ca),
        secure(*authority().issue("expired", days=-1)),
        secure(*issued("elsewhere", "DNS:recon.example")),
    )
    with triton:
        yield found


def _options(*words: str) -> list[str]:
    """Options in which capitals stand for files."""
    client, client_key = issued("client", "DNS:client")
    other, other_key = other_authority().issue("client", "DNS:client")
    files = {
        "CA": authority().ca,
        "OTHER_CA": other_authority().ca,
        "CLIENT": client,
        "CLIENT_KEY": client_key,
        "OTHER": other,
        "OTHER_KEY": other_key,
    }
    return [str(files.get(word, word)) for word in words]


@pytest.mark.parametrize(
    ("server", "options"),
    [
        ("tls", CA_ONLY),
        ("mutual", (*CA_ONLY, "--tls-cert", "CLIENT", "--tls-key", "CLIENT_KEY")),
        ("other_name", (*CA_ONLY, "--tls-server-name", "recon.example")),
    ],
)
def test_an_image_has_the_bits_of_one_without_tls(
    ports: Ports, tmp_path: Path, server: str, options: tuple[str, ...]
) -> None:
    film = write_film(tmp_path / "film.tif")
    images: list[NDArray[np.float32]] = []
    for address, given in ((ports.plain, []), (getattr(ports, server), _options(*options))):
        image = tmp_path / f"{len(images)}.ome.tif"
        done = invoke("submit", film, "-o", image, "--server", address, "-q", *given)
        assert done.exit_code == 0, done.stderr
        images.append(np.asarray(tifffile.imread(image)))
    np.testing.assert_array_equal(images[1], images[0])
    assert images[0].any()


@pytest.mark.parametrize(
    ("server", "options", "words"),
    [
        ("plain", CA_ONLY, "it has no TLS; leave out the options of TLS"),
        ("tls", (), "it expects TLS; give --tls-ca"),
        ("mutual", (), "it expects TLS; give --tls-ca"),
        ("tls", ("--tls",), "its certificate is not from a CA of --tls-ca"),
        ("tls", ("--tls-ca", "OTHER_CA"), "its certificate is not from a CA of --tls-ca"),
        ("expired", CA_ONLY, "its certificate has expired; renew it"),
        ("other_name", CA_ONLY, "its certificate is for another name; connect by a name"),
        ("mutual", CA_ONLY, "it asks for a certificate of its clients; give --tls-cert"),
        (
            "mutual",
            (*CA_ONLY, "--tls-cert", "OTHER", "--tls-key", "OTHER_KEY"),
            "it asks for a certificate of its clients, and does not take this one",
        ),
    ],
)
def test_why_there_is_no_connection(
    ports: Ports, tmp_path: Path, server: str, options: tuple[str, ...], words: str
) -> None:
    film, address = write_film(tmp_path / "film.tif"), getattr(ports, server)
    for command in (("status",), ("submit", film)):
        result = invoke(*command, "--server", address, *_options(*options))
        assert result.exit_code == 4
        assert f"no connection to {address}: {words}" in one_line(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tls-ca", "none.pem"), "--tls-ca none.pem cannot be read: No such file"),
        (("--tls-ca", "CLIENT_KEY"), "has no certificate; expected one in PEM"),
        (("--tls-key", "CLIENT_KEY"), "--tls-key is given without --tls-cert; expected both"),
        (("--tls-cert", "CLIENT"), "--tls-cert is given without --tls-key; expected both"),
        (("--tls-cert", "CLIENT", "--tls-key", "OTHER_KEY"), "is not the key of --tls-cert"),
        (("--tls-cert", "CA", "--tls-key", "CA"), "cannot be used; expected a certificate and"),
        (("--token-file", "none"), "--token-file none cannot be read"),
        (("--token-file", "CA"), "has no token; expected one line of 1 to 512"),
        ((*CA_ONLY, "--server", "a:1,b:1"), "several hosts, with TLS; expected one name"),
    ],
)
def test_files_that_cannot_be_used(options: tuple[str, ...], words: str) -> None:
    result = invoke("status", "--server", "127.0.0.1:1", *_options(*options))
    assert result.exit_code == 2
    assert words in one_line(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CA_ONLY, "--tls-ca is given without --tls-cert and --tls-key"),
        (("--tls-cert", "CLIENT"), "--tls-cert is given without --tls-key"),
        (
            ("--tls-cert", "OTHER", "--tls-key", "OTHER_KEY", *CA_ONLY),
            "expected a certificate of that CA, for servers and clients",
        ),
    ],
)
def test_a_server_that_could_not_be_watched(options: tuple[str, ...], words: str) -> None:
    result = invoke("serve", *_options(*options))
    assert result.exit_code == 2
    assert words in one_line(result)


def test_a_server_with_an_expired_certificate() -> None:
    certificate, key = authority().issue("late", days=-1)
    result = invoke("serve", "--tls-cert", certificate, "--tls-key", key)
    assert result.exit_code == 2
    assert "cannot be used: certificate has expired" in one_line(result)


def test_the_environment_names_files_too(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TLS_CA", str(authority().ca))
    result = invoke("status", "--no-canary", server=ports.tls)
    assert result.exit_code == 0, result.stderr


def test_a_name_stays_that_of_its_numeric_addresses() -> None:
    servers = Servers.parse("recon:8001", ClientTls())
    assert servers.tls == ClientTls(server_name="recon")
    assert servers.only(*servers.addresses).tls == servers.tls
    with pytest.raises(SettingError, match="several hosts"):
        Servers.parse("a:1,b:2", ClientTls())


def test_a_key_is_in_no_text_of_the_options() -> None:
    certificate, key = issued("client", "DNS:client")
    tls = ClientTls.read(certificate=certificate, key=key)
    assert "PRIVATE KEY" not in repr(tls)


def test_a_silent_server_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_faults, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(listener.accept)
        (address,) = Servers.parse(f"127.0.0.1:{listener.getsockname()[1]}").addresses
        assert tls_faults.tls_fault(address, None) is None
        accepted.result()[0].close()
    assert threading.active_count() < 50


@pytest.mark.parametrize("option", [("--tls",), ("--tls-server-name", "recon.example")])
def test_options_of_tls_without_servers_are_not_ignored(
    option: tuple[str, ...], tmp_path: Path
) -> None:
    """A server that is started here has none, so whoever gives them forgot the address."""
    film = write_film(tmp_path / "film.tif")
    result = invoke("submit", film, *option)
    assert result.exit_code == 2
    assert "options of TLS, or a token, but no --server; expected" in one_line(result)
    assert invoke("submit", film, *option, "--engine", "local").exit_code == 0
