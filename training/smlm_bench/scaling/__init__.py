"""Servers side by side: how throughput grows with their number, and what limits it."""
