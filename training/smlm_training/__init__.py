"""Simulation, networks, training, evaluation and export for smlm-recon."""

import smlm_pipeline as smlm_pipeline  # first: it turns the telemetry of engines off
