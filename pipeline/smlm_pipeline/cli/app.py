"""``recon-client``: the commands, put together."""

from __future__ import annotations

import typer

from smlm_pipeline.cli import plan, serve, status, submit
from smlm_pipeline.cli.exit_codes import EXIT_CODES

app = typer.Typer(
    help="Super-resolution images from films of blinking molecules, through NVIDIA Triton.",
    epilog=f"{EXIT_CODES} To continue a run that failed or was interrupted, give the "
    "same command with --resume.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(plan.app, name="plan")
for command in (submit.submit, serve.serve, status.status):
    app.command()(command)
