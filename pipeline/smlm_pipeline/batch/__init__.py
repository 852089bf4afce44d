"""Many films by one call: find them, reconstruct each, and keep a record of all."""
