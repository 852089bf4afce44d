"""``recon-bench table``: every method on one film, with one scorer, on one machine."""
