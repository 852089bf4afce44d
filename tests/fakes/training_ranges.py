"""Ranges of training films of one kind of structure."""

from __future__ import annotations

from dataclasses import replace

from smlm_training.fitting.ranges import STRUCTURES, Ranges


def only(kind: str, ranges: Ranges) -> Ranges:
    """The same ranges with structures of one kind alone, and one in each film."""
    shares = {f"{each}_share": float(each == kind) for each in STRUCTURES}
    return replace(ranges, mixture_share=0.0, **shares)
