"""The commands of ``recon-train``, and the door that all of them go through."""

from __future__ import annotations

import functools

from smlm_pipeline.cli.exit_codes import door

train_door = functools.partial(door, "recon-train", extra="train", os_error_is_output=True)
"""Turns errors into one line and an exit code; output that cannot be written has a code."""
