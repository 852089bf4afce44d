"""TLS between clients and servers: files of certificates, read and checked before they are used."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smlm_pipeline.errors import SettingError

ALPN = ["h2"]
"""gRPC's protocol within TLS."""

_TOKEN_LENGTH_MOST = 512


@dataclass(frozen=True)
class ClientTls:
    """How a client knows its servers, and they know it.

    ``ca`` are the certificates that the servers' must come from, in PEM; None takes the public
    ones. ``certificate`` and ``key`` are the client's own, for servers that ask for them.
    ``server_name`` is the name that a server's certificate has to state; None takes the host.
    ``token`` is sent with each request.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls,
        *,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        server_name: str | None = None,
        token_file: Path | None = None,
        prefix: str = "--tls",
    ) -> ClientTls:
        """Read the files that the options name, which begin with ``prefix``.

        Raises
        ------
        SettingError
            If one cannot be read or is of another kind, or a key and a certificate are not a pair.
        """
        if ca is not None:
            _check_ca(ca, prefix)
        if certificate is not None or key is not None:
            _check_pair(certificate, key, prefix)
        return cls(
            None if ca is None else ca.read_bytes(),
            None if certificate is None else certificate.read_bytes(),
            None if key is None else key.read_bytes(),
            server_name,
            None if token_file is None else _token(token_file),
        )


@dataclass(frozen=True)
class ServerTls:
    """A server's certificate and key, and the CA of its clients; None admits clients without one.

    The files are read by the server. ``names`` are those of the certificate.
    """

    certificate: Path
    key: Path
    ca: Path | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, *, certificate: Path | None, key: Path | None, ca: Path | None) -> ServerTls:
        """Check the files that the options name.

        Raises
        ------
        SettingError
            If one cannot be read or is of another kind, key and certificate are not a pair, or the
            certificate has expired or states no name.
        """
        certificate, key = _check_pair(certificate, key)
        if ca is not None:
            _check_ca(ca)
            ca = ca.absolute()
        return cls(certificate.absolute(), key.absolute(), ca, _names(certificate, key))

    def of_watcher(self) -> ClientTls:
        """How the process that watches this server connects to it: by the same certificate.

        Raises
        ------
        SettingError
            If clients need a certificate, and this one is not from the same CA, or not for
            clients.
        """
        own, key = self.certificate.read_bytes(), self.key.read_bytes()
        if self.ca is None:
            return ClientTls(ca=own, server_name=self.names[0])
        try:
            _shake_hands(self.certificate, self.key, server_ca=self.certificate, client_ca=self.ca)
        except ssl.SSLError as error:
            raise SettingError(
                f"--tls-cert {self.certificate} cannot watch a server with --tls-ca {self.ca}: "
                f"{_reason(error)}; expected a certificate of that CA, for servers and clients"
            ) from error
        return ClientTls(own, own, key, self.names[0])


def client_context(tls: ClientTls | None, folder: Path) -> ssl.SSLContext:
    """How Python's own TLS connects as a client does; without ``tls`` to any server.

    Parameters
    ----------
    tls : ClientTls or None
        The client's certificates.
    folder : Path
        A folder for this user alone, where the key is while it is read: Python takes files only.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(ALPN)
    if tls is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if tls.ca is not None:
        context = ssl.create_default_context(cadata=tls.ca.decode("ascii", "ignore"))
        context.set_alpn_protocols(ALPN)
    if tls.certificate is not None and tls.key is not None:
        files = folder / "certificate.pem", folder / "key.pem"
        for file, content in zip(files, (tls.certificate, tls.key), strict=True):
            file.write_bytes(content)
        context.load_cert_chain(*files)
    return context


def _check_ca(path: Path, prefix: str = "--tls") -> None:
    _check_readable(f"{prefix}-ca", path)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise SettingError(
            f"{prefix}-ca {path} has no certificate; expected one in PEM, which begins with "
            "-----BEGIN CERTIFICATE-----"
        ) from error


def _check_pair(
    certificate: Path | None, key: Path | None, prefix: str = "--tls"
) -> tuple[Path, Path]:
    named = f"{prefix}-cert", f"{prefix}-key"
    if certificate is None or key is None:
        lacking, given = named if key else named[::-1]
        raise SettingError(
            f"{given} is given without {lacking}; expected both"
            if certificate or key
            else f"{prefix}-ca is given without {' and '.join(named)}; expected a server's own"
        )
    for option, path in zip(named, (certificate, key), strict=True):
        _check_readable(option, path)
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise SettingError(
                f"{named[1]} {key} is not the key of {named[0]} {certificate}; expected a pair"
            ) from error
        raise SettingError(
            f"{named[0]} {certificate} and {named[1]} {key} cannot be used; expected a "
            "certificate and its key in PEM, without a password"
        ) from error
    return certificate, key


def _check_readable(option: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingError(
            f"{option} {path} cannot be read: {error.strerror}; expected a file in PEM"
        ) from error


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    context.load_cert_chain(certificate, key, password=lambda: "")  # it asks the terminal otherwise


def _token(path: Path) -> str:
    _check_readable("--token-file", path)
    token = path.read_text(encoding="utf-8", errors="replace").strip()
    printable = token.isascii() and token.isprintable() and " " not in token
    if not (printable and 1 <= len(token) <= _TOKEN_LENGTH_MOST):
        raise SettingError(
            f"--token-file {path} has no token; expected one line of 1 to {_TOKEN_LENGTH_MOST} "
            "letters, digits or marks"
        )
    return token


def _names(certificate: Path, key: Path) -> tuple[str, ...]:
    """The names in a certificate, which has to be valid now."""
    try:
        stated = _shake_hands(certificate, key, server_ca=certificate, client_ca=None)
    except ssl.SSLError as error:
        raise SettingError(
            f"--tls-cert {certificate} cannot be used: {_reason(error)}; expected a certificate "
            "of a server that is valid now"
        ) from error
    names = tuple(name for kind, name in stated.get("subjectAltName", ()) if "*" not in name)
    if not names:
        raise SettingError(
            f"--tls-cert {certificate} states no name; expected the server's name or address as "
            "subjectAltName"
        )
    return names


def _shake_hands(
    certificate: Path, key: Path, *, server_ca: Path, client_ca: Path | None
) -> dict[str, Any]:
    """Let a server and a client with this certificate meet in memory; return what it states.

    Raises
    ------
    ssl.SSLError
        If one refuses the other.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(server_ca)
    for context in (server, client):
        _load(context, certificate, key)
    if client_ca is not None:
        server.load_verify_locations(client_ca)
        server.verify_mode = ssl.CERT_REQUIRED
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=None),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(3):  # hello, certificates, end
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return dict(ends[0].getpeercert() or {})


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's words for what is wrong."""
    return str(getattr(error, "verify_message", None) or error.reason or error).rstrip(".")
