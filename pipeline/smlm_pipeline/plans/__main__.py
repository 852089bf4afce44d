"""``python -m smlm_pipeline.plans prepare``: what a server's start calls."""

from __future__ import annotations

import typer

from smlm_pipeline.door import EXIT_CODES
from smlm_pipeline.plans.commands import build

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command("prepare", epilog=EXIT_CODES)(build)


@app.callback()
def _() -> None:
    """TensorRT plans for the GPU of this machine."""


if __name__ == "__main__":
    app(prog_name="python -m smlm_pipeline.plans")
