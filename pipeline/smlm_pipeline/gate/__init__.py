"""The gate before servers, for clients that are not trusted: see docs/gate.md."""
