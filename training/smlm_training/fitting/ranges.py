"""Ranges of the conditions that training films are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields

from smlm_training.simulation.bounds import Range, check_range, check_whole, check_within

_FROM_ZERO = frozenset({"photons_spread", "emccd_read_noise_adu"})
"""Ranges that are drawn evenly; most of the others are drawn in their logarithm."""


@dataclass(frozen=True)
class Ranges:
    """Conditions of training films; pairs are the smallest and the largest value.

    Densities and photons are drawn uniformly in their logarithm. Lengths and areas assume
    camera pixels of 100 nm: ten pixels are a micrometre.
    """

    patch_px: int = 48
    frames_per_film: int = 16
    density_per_um2: Range = (0.3, 10.0)
    density_per_um: Range = (0.5, 7.0)
    filament_spacing_um: Range = (0.25, 2.5)
    filament_share: float = 0.6
    bundle_share: float = 0.4
    """Share of the filament films whose filaments run in bundles of two to four."""
    filament_turn_rad: Range = (0.03, 0.4)
    """Spread of the directions of filaments without bundles. With a small spread they keep their
    distance; with a large one they meet and part at small angles, where a single frame does not
    resolve them."""
    filament_sway: Range = (0.3, 2.5)
    """Amplitude of their waves, relative to the films that networks are scored on."""
    empty_share: float = 0.02
    photons: Range = (500.0, 5000.0)
    photons_spread: Range = (0.05, 0.35)
    sigma_px: Range = (0.9, 1.6)
    background_photons: Range = (5.0, 100.0)
    offset_adu: Range = (50.0, 1000.0)
    emccd_share: float = 0.6
    emccd_adu_per_photon: Range = (1.0, 20.0)
    emccd_read_noise_adu: Range = (0.0, 5.0)
    scmos_adu_per_photon: Range = (0.5, 4.0)
    scmos_read_noise_photons: Range = (0.8, 2.5)
    changing_share: float = 0.25
    """Share of films in which light of the whole field changes from frame to frame."""
    changing_photons: Range = (10.0, 1000.0)
    """Most of that light, of a pixel in a frame."""
    faulty_share: float = 0.15
    """Share of films with hot or dead pixels, rows and columns, which are replaced."""
    outside_share: float = 0.1
    """Share of films with a border, or the edge of a field stop."""
    scale_error: float = 0.025
    """Relative error of the film's scale, as for a client that samples a hundred whole frames."""
    emitters_max: int = 330
    """Most molecules of a patch; fuller patches are thinned out."""

    def __post_init__(self) -> None:
        """Refuse values that no film can be drawn from.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_whole("ranges.patch_px", self.patch_px, 8, 4096)
        check_whole("ranges.frames_per_film", self.frames_per_film, 2, 10_000)
        check_whole("ranges.emitters_max", self.emitters_max, 1, 100_000)
        check_within("ranges.scale_error", self.scale_error, 0, 1)
        for setting in fields(self):
            name, value = f"ranges.{setting.name}", getattr(self, setting.name)
            if setting.name.endswith("_share"):
                check_within(name, value, 0, 1)
            elif isinstance(value, tuple):
                check_range(name, value, 0 if setting.name in _FROM_ZERO else 1e-6, 1e6)
