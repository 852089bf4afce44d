"""``python -m smlm_bench``: ``recon-bench`` for the processes that it starts itself."""

from smlm_bench.cli import app

app(prog_name="recon-bench")
