"""The public benchmark NAIRR-SMLM: circles of emitters, simulated by its parameters."""
