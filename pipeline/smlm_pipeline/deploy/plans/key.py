"""The key of a plan: everything that it depends on, and a name for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from smlm_pipeline.deploy.plans.profiles import Profile

RECIPE = 2
"""Incremented whenever the compiler's options change, so that older plans are not found."""


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, for which a plan's kernels are chosen.

    ``name`` is the driver's; that of a MIG instance ends with its profile, so a slice has
    plans of its own. ``multiprocessors`` is their number in the GPU or slice.
    """

    name: str
    compute_capability: str
    multiprocessors: int


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

    ``precision`` is that of the compiled file, "fp32" or "fp16".
    """

    network_sha256: str
    precision: str
    tensorrt_version: str
    gpu: Gpu
    choices: Choices
    profiles: tuple[Profile, ...]

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dictionary that JSON leaves unchanged."""
        fields: dict[str, Any] = json.loads(json.dumps({**asdict(self), "recipe": RECIPE}))
        return fields

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, in hexadecimal: the plan's name in the cache."""
        return _digest(self.as_dict())

    @property
    def timings(self) -> str:
        """A name for what kernels' timings depend on: the version of TensorRT and the GPU."""
        kind = _digest(asdict(self.gpu))[:16]
        return f"{self.tensorrt_version}-sm{self.gpu.compute_capability}-{kind}"


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _digest(fields: dict[str, Any]) -> str:
    return sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
