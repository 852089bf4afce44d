"""Where tests find the project's own files, and real files of other programs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

MODEL_REPOSITORY = ROOT / "model_repository"

SHARED_DATA = ROOT.parent / "shared" / "data"
"""Files of other programs, where the workplace has them."""
