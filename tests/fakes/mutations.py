"""Seeded damage to bytes, and how long a test goes on with it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Literal

FUZZ_S = float(os.environ.get("RECON_FUZZ_S", "1"))
"""Seconds of each test; ``make fuzz`` sets more."""

FIRST_SEED = int(os.environ.get("RECON_FUZZ_SEED", "0"))
"""The first seed; a failure names the one that it came with."""

_EXTREMES = [0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]


def seeds(at_least: int = 20) -> Iterator[int]:
    """Seeds for ``FUZZ_S``, and so many in any case."""
    ends_s = time.monotonic() + FUZZ_S
    seed = FIRST_SEED
    while seed - FIRST_SEED < at_least or time.monotonic() < ends_s:
        yield seed
        seed += 1


def chance_of(seed: int) -> random.Random:
    """The chance of one seed, the same in every run."""
    return random.Random(seed)  # noqa: S311 - keeps no secret


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes with one to four kinds of damage: most at the head, where a file states its form."""
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if not damaged:
            break
        reach = chance.choice([min(len(damaged), 512), len(damaged)])
        place = chance.randrange(reach)
        kind = chance.randrange(6)
        if kind == 0:
            damaged[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            width = chance.choice([1, 2, 4, 8])
            number = chance.choice(_EXTREMES) % (1 << 8 * width)
            order: Literal["little", "big"] = chance.choice(["little", "big"])
            damaged[place : place + width] = number.to_bytes(width, order)
        elif kind == 2:
            del damaged[place:]
        elif kind == 3:
            damaged[place:place] = chance.randbytes(chance.randrange(1, 32))
        elif kind == 4:
            del damaged[place : place + chance.randrange(1, 64)]
        else:
            damaged[place : place + 16] = bytes(16)
    return bytes(damaged)
