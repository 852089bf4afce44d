"""What TensorRT 10 and 11 do differently, and nothing else.

Since 11 a network's types are those of its file and there are no flags for a
precision. In 10 the same has to be asked for; otherwise it would be free to take
others.
"""

from __future__ import annotations

from typing import Any

from smlm_pipeline.errors import PlanError

SUPPORTED = (10, 11)
"""Major versions of TensorRT that plans are built with."""


def major(version: str) -> int:
    """The first number of a version.

    Raises
    ------
    PlanError
        If it is none of ``SUPPORTED``.
    """
    first = version.split(".")[0]
    if not first.isdigit() or int(first) not in SUPPORTED:
        raise PlanError(
            f"TensorRT {version} is installed; expected {' or '.join(map(str, SUPPORTED))}: take "
            "the version of the Triton image that will load the plan"
        )
    return int(first)


def creation_flags(trt: Any, tensorrt_major: int) -> int:
    """Flags of ``create_network`` that keep to the types in the file."""
    if tensorrt_major == 10:
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return 0
