"""What the server image runs: ``tritonserver``, watched and started again when it dies or hangs.

Docker does not restart a container that is unhealthy, and Triton reports that it is ready while
one of its models is dead.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from smlm_pipeline import contract
from smlm_pipeline.cli.exit_codes import door, report_line
from smlm_pipeline.engines.command_server import CommandServer, EndedAtStartError
from smlm_pipeline.engines.watched import RESTARTS_MOST, Watch

ENSEMBLES_VARIABLE = "RECON_ENSEMBLES"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"ignore_unknown_options": True})
def watch(
    command: Annotated[list[str], typer.Argument(help="tritonserver and its arguments.")],
    restarts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            envvar="RECON_RESTARTS",
            help="Most restarts within ten minutes of a server that dies or hangs.",
        ),
    ] = RESTARTS_MOST,
) -> None:
    """Run a server until SIGTERM, and start it again when it dies or hangs."""
    ensembles = os.environ.get(ENSEMBLES_VARIABLE, "").split() or [contract.RECONSTRUCTION.name]
    server = CommandServer(command)
    with door("recon-server"):
        try:
            with Watch(
                server,
                ensembles,
                restarts_most=restarts,
                report=lambda line: report_line(line, "recon-server"),
            ) as watched:
                watched.wait()
        except EndedAtStartError as error:  # it has said why
            status = error.status if error.status >= 0 else 128 - error.status
            raise typer.Exit(status) from error
        except (SystemExit, KeyboardInterrupt) as ending:  # the way to end a server
            raise typer.Exit(0) from ending


if __name__ == "__main__":
    sys.exit(app())
