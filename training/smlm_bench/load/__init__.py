"""``recon-bench load``: many clients at the same time, and how servers answer them."""
