"""Kinds of samples, in nanometres and micrometres: each draws a structure for a field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.bounds import Range, check_range, check_whole, check_within
from smlm_training.simulation.bundles import bundled_filaments
from smlm_training.simulation.groups import Rings, Spots, scattered_centres
from smlm_training.simulation.structures import Filaments, Structure, Uniform, wavy_filaments


@dataclass(frozen=True)
class Field:
    """A field of view in camera pixels, and the border around it that has molecules too."""

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


DENSITY_MAX_PER_UM2 = 100.0

_LAYOUTS = 200
"""Draws of lines after which one is taken whose density per length is out of bounds."""


@dataclass(frozen=True)
class UniformSample:
    """Molecules anywhere."""

    density_per_um2: float = 3.0
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        """Refuse a density out of bounds."""
        _check_density(self.density_per_um2)

    def structure(self, _: np.random.Generator, field: Field) -> Structure:
        """The field and its border; no random number is drawn."""
        return Uniform(
            field.height_px,
            field.width_px,
            field.per_px2(self.density_per_um2),
            field.border_px,
        )


@dataclass(frozen=True)
class FilamentSample:
    """Wavy lines, like labelled microtubules, in one bundle or in several.

    ``density_per_um`` bounds the number of molecules that shine in a frame, per length
    of line; ``density_per_um2`` is their mean number per area of the field. By the
    second, the number per length is density x area / length of line in the field,
    so the field has the given density; where that is out of the bounds, other lines
    are drawn, and after 200 draws the nearest bound is taken. Without the second it is
    the middle of the bounds. Lines are ``spacing_nm`` apart; without
    ``lines_per_bundle`` they all make one bundle, with it bundles of so many lines are
    ``gap_nm`` apart and sway together. A share of the lines crosses the others.
    ``radius_nm`` is the standard deviation of a molecule's distance from its line.
    """

    density_per_um2: float | None = None
    density_per_um: Range | None = (3.5, 3.5)
    spacing_nm: Range = (300.0, 900.0)
    lines_per_bundle: tuple[int, int] | None = None
    gap_nm: Range = (800.0, 1400.0)
    crossing_share: float = 0.15
    radius_nm: float = 5.0
    kind: ClassVar[str] = "filaments"

    def __post_init__(self) -> None:
        """Refuse settings of impossible lines."""
        if self.density_per_um2 is None and self.density_per_um is None:
            raise SettingError("filaments need a density, per um2 or per um of line")
        if self.density_per_um2 is not None:
            _check_density(self.density_per_um2)
        if self.density_per_um is not None:
            check_range("density per um of line", self.density_per_um, 0.0, 1000.0)
        check_range("filament spacing in nm", self.spacing_nm, 20.0, 1e5)
        check_range("gap between bundles in nm", self.gap_nm, 20.0, 1e5)
        if self.lines_per_bundle is not None:
            check_range("lines per bundle", self.lines_per_bundle, 1, 1000)
            for lines in self.lines_per_bundle:
                check_whole("lines per bundle", lines, 1, 1000)
        check_within("share of crossing filaments", self.crossing_share, 0.0, 1.0)
        check_within("filament radius in nm", self.radius_nm, 0.0, 1000.0)

    def structure(self, rng: np.random.Generator, field: Field) -> Structure:
        """Lines whose molecules have the given density."""
        low, high = self.density_per_um or (0.0, float("inf"))
        for _ in range(_LAYOUTS):
            lines = self._lines(rng, field)
            wanted = self._density_per_px(lines, field)
            possible = min(max(wanted, field.per_px(low)), field.per_px(high))
            if wanted == possible:
                break
        return replace(lines, density_per_px=possible)

    def _density_per_px(self, lines: Filaments, field: Field) -> float:
        if self.density_per_um2 is None:
            low, high = self.density_per_um or (0.0, 0.0)
            return field.per_px((low + high) / 2)
        length_px = lines.length_within_px(field.height_px, field.width_px)
        if not length_px:  # all lines pass by the field
            return 0.0
        return field.per_px2(self.density_per_um2) * field.area_px2 / length_px

    def _lines(self, rng: np.random.Generator, field: Field) -> Filaments:
        common: dict[str, Any] = {
            "height_px": field.height_px,
            "width_px": field.width_px,
            "spacing_px": field.px_of_both(self.spacing_nm),
            "crossing_share": self.crossing_share,
            "density_per_px": 0.0,
            "radius_px": field.px(self.radius_nm),
            "border_px": field.border_px,
        }
        if self.lines_per_bundle is None:
            return wavy_filaments(rng, **common)
        gap_px = field.px_of_both(self.gap_nm)
        return bundled_filaments(
            rng, lines_per_bundle=self.lines_per_bundle, gap_px=gap_px, **common
        )


@dataclass(frozen=True)
class RingSample:
    """Rings that do not overlap, like nuclear pores (doi 10.1038/s41592-019-0574-9).

    ``sites`` is the number of corners of a ring, 0 for molecules anywhere along it;
    ``thickness_nm`` the standard deviation of a molecule's distance from its place.
    """

    density_per_um2: float = 3.0
    radius_nm: float = 53.5
    sites: int = 8
    thickness_nm: float = 5.0
    rings_per_um2: float = 4.0
    kind: ClassVar[str] = "rings"

    def __post_init__(self) -> None:
        """Refuse settings of impossible rings."""
        _check_density(self.density_per_um2)
        check_within("ring radius in nm", self.radius_nm, 0.0, 1e5)
        check_whole("sites of a ring", self.sites, 0, 1000)
        check_within("ring thickness in nm", self.thickness_nm, 0.0, 1e4)
        check_within("rings per um2", self.rings_per_um2, 1e-4, 1000.0)

    def structure(self, rng: np.random.Generator, field: Field) -> Structure:
        """Rings, each turned at random, with the same number of molecules on average."""
        apart_nm = 2 * (self.radius_nm + 2 * self.thickness_nm)
        centres = scattered_centres(
            rng,
            height_px=field.height_px,
            width_px=field.width_px,
            border_px=field.border_px,
            centres_per_px2=field.per_px2(self.rings_per_um2),
            distance_px=field.px(apart_nm),
        )
        return Rings(
            centres,
            turns=rng.uniform(0, 2 * np.pi, len(centres)),
            radius_px=field.px(self.radius_nm),
            sites=self.sites,
            thickness_px=field.px(self.thickness_nm),
            molecules_per_ring=_share(centres, field, self.density_per_um2),
        )


@dataclass(frozen=True)
class SpotSample:
    """Round clumps with a Gaussian profile, placed independently of one another."""

    density_per_um2: float = 3.0
    sigma_nm: float = 60.0
    spots_per_um2: float = 2.0
    kind: ClassVar[str] = "spots"

    def __post_init__(self) -> None:
        """Refuse settings of impossible spots."""
        _check_density(self.density_per_um2)
        check_within("sigma of a clump in nm", self.sigma_nm, 0.0, 1e5)
        check_within("spots per um2", self.spots_per_um2, 1e-4, 1000.0)

    def structure(self, rng: np.random.Generator, field: Field) -> Structure:
        """Clumps with the same number of molecules on average."""
        centres = scattered_centres(
            rng,
            height_px=field.height_px,
            width_px=field.width_px,
            border_px=field.border_px,
            centres_per_px2=field.per_px2(self.spots_per_um2),
            distance_px=0.0,
        )
        per_spot = _share(centres, field, self.density_per_um2)
        return Spots(centres, field.px(self.sigma_nm), per_spot)


AnySample = UniformSample | FilamentSample | RingSample | SpotSample


SAMPLES: dict[str, type[AnySample]] = {
    each.kind: each for each in (UniformSample, FilamentSample, RingSample, SpotSample)
}
"""Kinds of samples by their name on the command line."""


def _check_density(density_per_um2: float) -> None:
    check_within("density per um2", density_per_um2, 0.0, DENSITY_MAX_PER_UM2)


def _share(centres: NDArray[np.float64], field: Field, density_per_um2: float) -> float:
    """Molecules of one group, so that the groups in the field have the given density."""
    size = np.array([field.height_px, field.width_px])
    within = int(np.all((centres >= 0) & (centres < size), axis=1).sum())
    density_per_px2 = field.per_px2(density_per_um2)
    if within:
        return density_per_px2 * field.area_px2 / within
    return density_per_px2 * field.area_with_border_px2 / len(centres)
