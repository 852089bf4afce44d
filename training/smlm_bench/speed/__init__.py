"""``recon-bench speed``: engines and networks timed side by side in one run."""
