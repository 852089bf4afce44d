"""The key of a plan: everything that it depends on, and a name for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from smlm_pipeline.deploy.plans.profiles import Profile

RECIPE = 1
"""Incremented whenever the compiler's options change, so that older plans are not found."""


@dataclass(frozen=True)
class Choices:
    """The options of a build.

    ``tf32`` lets tensor cores round FP32 factors to 10 bits of mantissa instead of 23:
    faster, and 2^13 times coarser, so it is off by default. ``workspace_bytes`` is the memory
    that a single kernel may use beside the activations.
    """

    tf32: bool = False
    workspace_bytes: int = 1 << 30


@dataclass(frozen=True)
class PlanKey:
    """Plans of one key are interchangeable; those of different keys are not.

    ``precision`` is that of the network's file, "fp32" or "fp16".
    """

    network_sha256: str
    precision: str
    tensorrt_version: str
    compute_capability: str
    choices: Choices
    profiles: tuple[Profile, ...]

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dictionary that JSON leaves unchanged."""
        fields: dict[str, Any] = json.loads(json.dumps({**asdict(self), "recipe": RECIPE}))
        return fields

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, in hexadecimal: the plan's name in the cache."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
