"""Runs a plan: chunks are read, sent, answered, summed and kept in a checkpoint."""
