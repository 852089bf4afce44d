"""``recon-client serve``: the embedded server until Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.connection_options import CertificateOptions
from smlm_pipeline.cli.exit_codes import door, report_line
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import (
    ENGINE_PANEL,
    OUTPUT_PANEL,
    Precision,
    Repository,
    precision_name,
)
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import served_ensembles
from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.engines.watched import RESTARTS_MOST, Watch
from smlm_pipeline.model_repository import find_model_repository, network_file


@with_groups
def serve(
    *,
    port: Annotated[
        int,
        typer.Option(
            min=1, max=65535, help="gRPC port to listen on.", rich_help_panel=ENGINE_PANEL
        ),
    ] = contract.GRPC_PORT,
    precision: Precision = None,
    model_repository: Repository = None,
    log: Annotated[
        Path | None,
        typer.Option(
            help="File for the server's log.", show_default=False, rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    restarts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Most restarts within ten minutes of a server that dies or hangs.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = RESTARTS_MOST,
    certificates: CertificateOptions,
) -> None:
    """Run the embedded Triton server on this machine until Ctrl-C."""
    with door():
        repository = find_model_repository(model_repository)
        served = served_ensembles(repository)
        for name in served:
            network_file(repository, contract.ENSEMBLES[name].network.name)  # before Triton does
        chosen = precision_name(precision)
        tls = certificates.tls()
        server = EmbeddedServer(repository, grpc_port=port, log_file=log, precision=chosen, tls=tls)
        with Watch(server, served, restarts_most=restarts, report=report_line) as watch:
            typer.echo(f"serving {', '.join(served)} at {server.address}")
            for network in (contract.ENSEMBLES[name].network.name for name in served):
                typer.echo(f"{network} in {server.network_engine(network)}")
            typer.echo(f"metrics at {server.metrics_url}")
            typer.echo(f"use it: recon-client submit FILM --server {_way_to(server, tls)}")
            sys.stdout.flush()
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                watch.wait()


def _way_to(server: EmbeddedServer, tls: ServerTls | None) -> str:
    """The address for ``--server``, and what TLS needs beside it."""
    if tls is None:
        return server.address
    own = "" if tls.ca is None else " --tls-cert CERT --tls-key KEY"
    return f"{server.address} --tls-server-name {tls.names[0]} --tls-ca CA{own}"
