"""``python -m smlm_pipeline.plans prepare | sizes``: what a container's start calls."""

from __future__ import annotations

import typer

from smlm_pipeline.plans import commands

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("prepare")(commands.build)
app.command("sizes")(commands.sizes)

if __name__ == "__main__":
    app(prog_name="python -m smlm_pipeline.plans")
