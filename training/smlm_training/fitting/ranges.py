"""Ranges of the conditions that training films are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.bounds import Range, check_range, check_whole, check_within

_FROM_ZERO = frozenset({"photons_spread", "emccd_read_noise_adu", "astigmatism"})
"""Ranges that are drawn evenly; most of the others are drawn in their logarithm."""

STRUCTURES = ("filament", "wave", "worm", "ring", "cluster", "patch", "uniform")
"""Kinds of structures; the share of each is a setting."""


@dataclass(frozen=True)
class Ranges:
    """Conditions of training films; pairs are the smallest and the largest value.

    Densities and photons are drawn uniformly in their logarithm. Lengths and areas assume
    camera pixels of 100 nm: ten pixels are a micrometre.
    """

    patch_px: int = 48
    frames_per_film: int = 16
    density_per_um2: Range = (0.1, 20.0)
    """Of uniform samples, of patches, and of the densest place of gradients."""
    density_per_um: Range = (0.3, 12.0)
    """Along lines of all kinds."""
    filament_share: float = 0.25
    """Filaments that keep their distance, see ``simulation.structures`` and ``bundles``. This and
    the next six shares are relative to their sum."""
    wave_share: float = 0.15
    worm_share: float = 0.2
    ring_share: float = 0.08
    cluster_share: float = 0.07
    patch_share: float = 0.15
    """Patches with edges or gradients."""
    uniform_share: float = 0.1
    mixture_share: float = 0.15
    """Share of films with two structures in one field."""
    empty_share: float = 0.02
    filament_spacing_um: Range = (0.25, 2.5)
    """Of neighbouring filaments, waves, chains and rings."""
    bundle_share: float = 0.4
    """Share of the filament films whose filaments run in bundles of two to four."""
    filament_turn_rad: Range = (0.03, 0.4)
    """Spread of the directions of filaments without bundles, and of waves. With a small spread
    they keep their distance; with a large one they meet and part at small angles, where a single
    frame does not resolve them."""
    filament_sway: Range = (0.3, 2.5)
    """Amplitude of filaments' waves, relative to the films that networks are scored on."""
    wavelength_um: Range = (0.3, 9.0)
    wave_amplitude: Range = (0.02, 0.35)
    """Root mean square of a wave, relative to its wavelength."""
    persistence_um: Range = (0.2, 15.0)
    """Persistence length of worm-like chains."""
    ring_radius_um: Range = (0.05, 3.0)
    cluster_sigma_um: Range = (0.02, 0.4)
    clusters_per_um2: Range = (0.2, 5.0)
    cluster_molecules: Range = (0.05, 6.0)
    """Molecules of one cluster that shine in a frame."""
    patch_size_um: Range = (0.4, 5.0)
    photons: Range = (300.0, 6000.0)
    photons_spread: Range = (0.1, 0.4)
    """Relative. How many molecules a light comes from depends on it, and no single frame of a dense
    film tells it: with 0.05 to 0.5 the counts of films were wrong by up to 20 %."""
    lognormal_share: float = 0.5
    """Share of films whose photons have a log-normal distribution; of the others it is gamma."""
    blinking_share: float = 0.1
    """Share of films whose blinks begin and end within frames, which cuts the light of some."""
    on_frames: Range = (3.0, 10.0)
    """Mean length of these blinks."""
    faintest: float = 0.1
    """Molecules with less of the mean light are not to be found, but shine."""
    sigma_px: Range = (0.8, 2.2)
    elliptic_share: float = 0.2
    """Share of films whose spots are longer along y than along x, or the other way round."""
    spot_ratio: Range = (0.67, 1.5)
    """Width along y over that along x."""
    deep_share: float = 0.1
    """Share of films whose molecules lie at different depths."""
    depth: Range = (0.2, 1.0)
    """Most depth, in depths of focus, and the distance of the two focal lines from the middle."""
    astigmatism: Range = (0.0, 0.4)
    halo_share: float = 0.25
    """Share of films whose spots have a core and a halo."""
    halo_light: Range = (0.03, 0.25)
    halo_width: Range = (1.8, 6.5)
    background_photons: Range = (1.0, 300.0)
    least_contrast: float = 3.0
    """A larger background is lowered to that under which a molecule has so many times the light
    of the shot noise below it."""
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
    misjudged_share: float = 0.05
    """Share of films whose scale is far from the expected one, as where few molecules blink."""
    misjudged_scale: Range = (0.7, 1.3)
    """That scale, relative to the expected one."""
    emitters_max: int = 480
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
        check_within("ranges.faintest", self.faintest, 0, 1)
        check_within("ranges.least_contrast", self.least_contrast, 0, 100)
        for setting in fields(self):
            name, value = f"ranges.{setting.name}", getattr(self, setting.name)
            if setting.name.endswith("_share"):
                check_within(name, value, 0, 1)
            elif isinstance(value, tuple):
                check_range(name, value, 0 if setting.name in _FROM_ZERO else 1e-6, 1e6)
        if not any(self.structure_shares.values()):
            raise SettingError(
                "ranges has no structure with a share; expected one or more of "
                f"{', '.join(f'ranges.{kind}_share' for kind in STRUCTURES)} above 0"
            )

    @property
    def structure_shares(self) -> dict[str, float]:
        """Share of each kind of structure, relative to their sum."""
        return {kind: getattr(self, f"{kind}_share") for kind in STRUCTURES}
