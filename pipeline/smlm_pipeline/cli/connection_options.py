"""Options of TLS: of commands that connect to servers, and of those that are servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from smlm_pipeline.engines.triton.tls import ClientTls, ServerTls

CONNECTION_PANEL = "Encryption and identity"


def _option(text: str, metavar: str = "PEM", envvar: str | None = None) -> Any:
    """An option whose value is a file or a name, and which is left out by default."""
    return typer.Option(
        envvar=envvar,
        metavar=metavar,
        help=text,
        show_default=False,
        rich_help_panel=CONNECTION_PANEL,
    )


def _client_tls(asked: bool, prefix: str = "--tls", **named: Any) -> ClientTls | None:
    """TLS where it is asked for, or any of what is named for it is given; else None."""
    if not asked and all(each is None for each in named.values()):
        return None
    return ClientTls.read(prefix=prefix, **named)


@dataclass(frozen=True)
class ConnectionOptions:
    """How the servers of ``--server`` are connected to."""

    with_tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            envvar="RECON_TLS",
            help="Connect to --server by TLS; implied by the options below.",
            rich_help_panel=CONNECTION_PANEL,
        ),
    ] = False
    tls_ca: Annotated[
        Path | None,
        _option(
            "Certificates of the CAs that the servers' come from; by default the public ones.",
            envvar="RECON_TLS_CA",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        _option(
            "Certificate of this client, for servers that ask for one.", envvar="RECON_TLS_CERT"
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        _option("Key of that certificate.", envvar="RECON_TLS_KEY"),
    ] = None
    tls_server_name: Annotated[
        str | None,
        _option(
            "Name that the servers' certificates must state; by default the host of --server.",
            "NAME",
            envvar="RECON_TLS_SERVER_NAME",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        _option(
            "File of the token by which a gate knows this client.",
            "FILE",
            envvar="RECON_TOKEN_FILE",
        ),
    ] = None

    def tls(self) -> ClientTls | None:
        """How to connect; None without TLS.

        Raises
        ------
        SettingError
            If a file cannot be used.
        """
        return _client_tls(
            self.with_tls,
            ca=self.tls_ca,
            certificate=self.tls_cert,
            key=self.tls_key,
            server_name=self.tls_server_name,
            token_file=self.token_file,
        )


@dataclass(frozen=True)
class CertificateOptions:
    """The certificate of a server, and the CA of its clients."""

    tls_cert: Annotated[
        Path | None,
        _option("Certificate of this server; with it, clients connect by TLS."),
    ] = None
    tls_key: Annotated[
        Path | None,
        _option("Key of that certificate."),
    ] = None
    tls_ca: Annotated[
        Path | None,
        _option(
            "Certificates of the CAs of the clients; with it, clients need a certificate of one."
        ),
    ] = None

    def tls(self) -> ServerTls | None:
        """The certificates; None without TLS.

        Raises
        ------
        SettingError
            If a file cannot be used, or the options are not complete.
        """
        if self.tls_cert is None and self.tls_key is None and self.tls_ca is None:
            return None
        return ServerTls.read(certificate=self.tls_cert, key=self.tls_key, ca=self.tls_ca)


@dataclass(frozen=True)
class BehindOptions:
    """How a gate connects to the servers behind it."""

    server_tls: Annotated[
        bool,
        typer.Option(
            "--server-tls",
            help="Connect to --server by TLS; implied by the options below.",
            rich_help_panel=CONNECTION_PANEL,
        ),
    ] = False
    server_tls_ca: Annotated[
        Path | None,
        _option("Certificates of the CAs that the servers' come from; by default the public ones."),
    ] = None
    server_tls_cert: Annotated[
        Path | None,
        _option("Certificate of this gate, for servers that ask for one."),
    ] = None
    server_tls_key: Annotated[
        Path | None,
        _option("Key of that certificate."),
    ] = None
    server_tls_name: Annotated[
        str | None,
        _option(
            "Name that the servers' certificates must state; by default the host of --server.",
            "NAME",
        ),
    ] = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Those that are given, and None for each other one."""
        return self.server_tls_cert, self.server_tls_key, self.server_tls_ca

    def tls(self) -> ClientTls | None:
        """How to connect; None without TLS.

        Raises
        ------
        SettingError
            If a file cannot be used.
        """
        return _client_tls(
            self.server_tls,
            "--server-tls",
            ca=self.server_tls_ca,
            certificate=self.server_tls_cert,
            key=self.server_tls_key,
            server_name=self.server_tls_name,
        )
