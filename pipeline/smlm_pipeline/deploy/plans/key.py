"""What a plan depends on, and the one name that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from smlm_pipeline.deploy.plans.profiles import Profile

RECIPE = 1
"""Raised whenever the compiler is told something else, so that older plans are not found."""


@dataclass(frozen=True)
class Choices:
    """What is left to choose when a plan is built.

    ``tf32`` lets tensor cores round FP32 factors to 10 bits of mantissa instead of 23:
    faster, and 2^13 times coarser, so it is off unless asked for. ``workspace_bytes``
    is what a single kernel may use beside the activations.
    """

    tf32: bool = False
    workspace_bytes: int = 1 << 30


@dataclass(frozen=True)
class PlanKey:
    """Two plans of one key may stand for each other; others never.

    ``precision`` is what the network's file computes in, "fp32" or "fp16".
    """

    network_sha256: str
    precision: str
    tensorrt_version: str
    compute_capability: str
    choices: Choices
    profiles: tuple[Profile, ...]

    def as_dict(self) -> dict[str, Any]:
        """In words that survive JSON unchanged."""
        told: dict[str, Any] = json.loads(json.dumps({**asdict(self), "recipe": RECIPE}))
        return told

    @property
    def digest(self) -> str:
        """SHA-256 of everything above, in hexadecimal: the plan's name in the cache."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode())


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()
