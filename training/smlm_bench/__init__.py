"""Measurements side by side; the only part of training that also drives the engines."""

import smlm_pipeline as smlm_pipeline  # first: it turns the telemetry of engines off
