"""Measurements side by side; the only part of training that also drives the engines."""
