"""``recon-bench``: methods side by side on one film, speed, load. TensorFlow is loaded late."""

from __future__ import annotations

import typer

from smlm_bench.load import command as load_command
from smlm_bench.speed import command as speed_command
from smlm_bench.table import command as table_command

app = typer.Typer(
    help="Compare methods on a film with its truth, engines by their speed, servers under load.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (table_command.table, speed_command.speed, load_command.load):
    app.command()(command)
