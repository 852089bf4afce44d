"""Simulation, networks, training, evaluation and export for smlm-recon."""
