"""``plan.json``: what a plan was built from, by what, and how far it is from its network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smlm_pipeline.plans.key import PlanKey, sha256

PLAN_FILE = "model.plan"

SIDECAR_FILE = "plan.json"


@dataclass(frozen=True)
class Record:
    """A plan's provenance; ``key`` is that of ``PlanKey.as_dict``.

    ``largest_difference`` and ``tolerance`` are shares of a channel's largest value,
    see ``gate``; ``activation_bytes`` has one number a profile.
    """

    model: str
    key: dict[str, Any]
    plan_sha256: str
    plan_bytes: int
    gpu: str
    build_s: float
    activation_bytes: tuple[int, ...]
    largest_difference: float
    tolerance: float
    made_by: str

    def is_of(self, key: PlanKey, plan: bytes) -> bool:
        """Whether it tells of this very plan, built for this very key."""
        return key.as_dict() == self.key and self.plan_sha256 == sha256(plan)

    def as_json(self) -> bytes:
        """What the file holds."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def read_record(file: Path) -> Record | None:
    """The record in a file, or None where there is none that can be read."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return Record(**{**told, "activation_bytes": tuple(told["activation_bytes"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
