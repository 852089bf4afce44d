"""``recon-train``: from simulated films to a published network. TensorFlow is loaded late."""

from __future__ import annotations

import typer

from smlm_training.commands import evaluate, export, fit, match, publish, simulate

app = typer.Typer(
    help="Simulate films, train a network, export and publish it, and score its images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    *(simulate.simulate, match.match, fit.fit),
    *(export.export, export.halve, export.reference, publish.publish, evaluate.evaluate),
):
    app.command()(command)
