"""The field of view of a film."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """Camera pixels that are read, and how far beyond them molecules are placed."""

    height_px: int
    width_px: int
    pixel_size_nm: float
    border_px: float

    def px(self, length_nm: float) -> float:
        """A length in camera pixels."""
        return length_nm / self.pixel_size_nm

    def px_of_both(self, lengths_nm: tuple[float, float]) -> tuple[float, float]:
        """Two lengths in camera pixels."""
        return self.px(lengths_nm[0]), self.px(lengths_nm[1])

    def per_px(self, density_per_um: float) -> float:
        """A number per micrometre, per camera pixel."""
        return density_per_um * self.pixel_size_nm / 1000

    def per_px2(self, density_per_um2: float) -> float:
        """A number per square micrometre, per camera pixel."""
        return density_per_um2 * (self.pixel_size_nm / 1000) ** 2

    @property
    def area_px2(self) -> float:
        """Pixels that are read."""
        return float(self.height_px * self.width_px)

    @property
    def area_with_border_px2(self) -> float:
        """Area in which molecules are placed."""
        return (self.height_px + 2 * self.border_px) * (self.width_px + 2 * self.border_px)
