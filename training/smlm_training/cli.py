"""``recon-train``: simulate, fit, export and evaluate. TensorFlow is loaded where it is needed."""

from __future__ import annotations

import typer

from smlm_training.commands import evaluate, export, fit, simulate

app = typer.Typer(
    help="Simulate films, train the network, export it and score its images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (simulate.simulate, fit.fit, export.export, evaluate.evaluate):
    app.command()(command)
