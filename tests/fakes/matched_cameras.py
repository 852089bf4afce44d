"""Presets as ``recon-train match`` writes them, by its own code, for tests of what reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.estimates import Estimates, Value
from smlm_training.matching.preset import preset

NOT_MEASURED = Value(float("nan"), float("inf"))
"""What match has where the film does not determine a number."""

ESTIMATES = Estimates(
    sigma_px=Value(1.1, 0.01),
    spot_ratio=Value(1.0, 0.01),
    halo_light=Value(0.0, 0.02),
    on_frames=Value(0.0, 0.1),
    photons=Value(2000, 300),
    photons_spread=Value(0.3, 0.05),
    background_photons=Value(20, 12),
    density_per_px2=Value(0.06, 0.006),
    offset_adu=Value(100, 2),
    gain_adu_per_photon=Value(2, 0.1),
    halo_width=4.0,
    misfit=0.002,
    spread_measured=0.8,
)
"""Of a film of spots of 1.1 pixels, with an EMCCD."""


def matched(
    *,
    gain: Value = Value(5.0, 0.2),  # noqa: B008 - frozen
    offset: Value = Value(90.0, 1.5),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """The preset of a film with these estimates of gain and offset."""
    found = replace(ESTIMATES, gain_adu_per_photon=gain, offset_adu=offset)
    return preset(found, (0.2, 3.0), KINDS["emccd"], {"stack": "beads.nd2", "camera": "emccd"})


def write_matched(path: Path, **estimates: Value) -> Path:
    """Write such a preset."""
    path.write_text(json.dumps(matched(**estimates), indent=2), encoding="utf-8")
    return path
