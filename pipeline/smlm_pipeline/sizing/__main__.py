"""``python -m smlm_pipeline.sizing``: flags for ``tritonserver``, one a line."""

from __future__ import annotations

import typer

from smlm_pipeline.door import EXIT_CODES
from smlm_pipeline.sizing.command import sizes

app = typer.Typer(pretty_exceptions_enable=False)
app.command(epilog=EXIT_CODES)(sizes)

if __name__ == "__main__":
    app(prog_name="python -m smlm_pipeline.sizing")
