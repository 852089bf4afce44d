"""``recon-client gate``: a guarded way to servers, for clients that are not trusted."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.connection_options import (
    CONNECTION_PANEL,
    BehindOptions,
    CertificateOptions,
)
from smlm_pipeline.cli.exit_codes import door, report_line
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import ADDRESSES, ENGINE_PANEL
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.errors import SettingError

with imported_when_used():
    from smlm_pipeline.gate import clients as gate_clients
    from smlm_pipeline.gate import files as gate_files
    from smlm_pipeline.gate import run as gate_run

LIMITS_PANEL = "Limits of each client"


@dataclass(frozen=True)
class LimitOptions:
    """The limits of clients, unless the file of clients states others."""

    requests: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="Requests under way at once; above it the gate refuses, and clients send again.",
            rich_help_panel=LIMITS_PANEL,
        ),
    ] = 16
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            max=contract.MAX_FRAMES,
            help="Frames of a request.",
            rich_help_panel=LIMITS_PANEL,
        ),
    ] = contract.MAX_FRAMES
    pixels: Annotated[
        int,
        typer.Option(
            min=1,
            help="Camera pixels of a request, over all frames.",
            rich_help_panel=LIMITS_PANEL,
        ),
    ] = contract.DETECTION_ANSWER.pixels_most
    megabytes_per_s: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Rate of requests in MB/s; above it they wait.",
            rich_help_panel=LIMITS_PANEL,
        ),
    ] = 1000.0


@with_groups
def gate(
    *,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Address to listen on, for clients; 0.0.0.0 is all of this machine.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = "127.0.0.1:8443",
    server: Annotated[
        str,
        typer.Option(
            metavar=ADDRESSES,
            help="gRPC endpoint of the Triton server behind the gate, or of several.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = f"127.0.0.1:{contract.GRPC_PORT}",
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of an HTTP page with /metrics and /ready, for Prometheus and probes.",
            show_default=False,
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = None,
    certificates: CertificateOptions,
    behind: BehindOptions,
    clients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Clients that are admitted, by token or certificate, and their limits, as YAML; "
            "by default all that connect.",
            show_default=False,
            rich_help_panel=CONNECTION_PANEL,
        ),
    ] = None,
    limits: LimitOptions,
) -> None:
    """Check the requests of clients that are not trusted, and pass them on to servers.

    The servers' own port has to be closed to these clients. SIGTERM ends the gate when the
    requests under way are done.
    """
    with door(if_interrupted="the gate is closed"):
        tls = certificates.tls()
        page = None if metrics is None else _address("--metrics", metrics)
        listening = gate_run.Listening(_address("--listen", listen), page, tls)
        known = gate_clients.Clients.read(clients, gate_clients.Limits(**asdict(limits)))
        known.check_recognisable(tls)
        own = gate_files.Certified(behind.files, behind.tls, report=report_line)
        servers = Servers.parse(server, behind.tls())
        running = gate_run.run_gate(
            listening, servers, known, renewed=own.changed, report=report_line
        )
        asyncio.run(running)


def _address(option: str, text: str) -> Address:
    addresses = Servers.parse(text).addresses
    if len(addresses) != 1:
        raise SettingError(f"{option} is {text!r}; expected one address, as 0.0.0.0:8443")
    return addresses[0]
