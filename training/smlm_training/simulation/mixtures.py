"""Structures made of others: two in one field, or one with fewer molecules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smlm_training.simulation.structures import Positions, Structure


@dataclass(frozen=True)
class Mixture:
    """Two structures in one field."""

    first: Structure
    second: Structure

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return self.first.expected_count() + self.second.expected_count()

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        of_first = rng.random(count) * self.expected_count() < self.first.expected_count()
        y_px, x_px = np.empty(count), np.empty(count)
        for structure, chosen in ((self.first, of_first), (self.second, ~of_first)):
            if chosen.any():
                y_px[chosen], x_px[chosen] = structure.sample(rng, int(chosen.sum()))
        return y_px, x_px


@dataclass(frozen=True)
class Thinned:
    """A share of the molecules of a structure."""

    structure: Structure
    share: float

    def expected_count(self) -> float:
        """Mean number of molecules that shine in one frame, border included."""
        return self.share * self.structure.expected_count()

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Positions of ``count`` molecules, in camera pixels."""
        return self.structure.sample(rng, count)
