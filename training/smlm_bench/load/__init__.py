"""``recon-bench load``: many clients at once, and what the servers make of it."""
