"""sCMOS chips whose pixels differ: maps drawn from a seed, or measured and read from TIFF files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError, SettingError
from smlm_training.simulation.bounds import check_whole, check_within
from smlm_training.simulation.camera import Scmos


@dataclass(frozen=True)
class ScmosChip:
    """A chip with another offset, gain and variance in each pixel.

    Maps without a file are drawn from ``chip_seed``, so all films of one chip have
    the same maps: gains vary normally by ``gain_spread`` of their mean, offsets
    normally by ``offset_spread_adu``, and variances log-normally about
    ``read_noise_adu`` squared, with ``variance_spread`` as the standard deviation of
    the logarithm: a long tail of noisy pixels (Huang et al., doi 10.1038/nmeth.2488).
    The files hold one image of the field's size: offset in ADU, gain in ADU a photon,
    variance in ADU squared.
    """

    adu_per_photon: float = 2.0
    offset_adu: float = 100.0
    read_noise_adu: float = 3.2
    gain_spread: float = 0.02
    offset_spread_adu: float = 1.0
    variance_spread: float = 0.6
    chip_seed: int = 0
    gain_map: str | None = None
    offset_map: str | None = None
    variance_map: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings of an impossible chip.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_within("gain spread", self.gain_spread, 0.0, 0.2)
        check_within("offset spread in ADU", self.offset_spread_adu, 0.0, 1e4)
        check_within("variance spread", self.variance_spread, 0.0, 3.0)
        check_whole("chip seed", self.chip_seed, 0, 2**63)
        for file in (self.gain_map, self.offset_map, self.variance_map):
            if not isinstance(file, str | None):
                raise SettingError(f"a map is {file!r}; expected the path of a TIFF file, or none")

    def camera(self, height_px: int, width_px: int) -> Scmos:
        """The camera of a field.

        Raises
        ------
        SettingError
            If a map is not of the field's size, or has an impossible value.
        FilmError
            If a map cannot be read.
        """
        shape = (height_px, width_px)
        gain, offset, variance = (  # one after the other: a file in place of one changes no other
            np.random.default_rng([self.chip_seed, index]).standard_normal(shape)
            for index in range(3)
        )
        maps = (
            (self.gain_map, self.adu_per_photon * np.clip(1 + self.gain_spread * gain, 0.1, None)),
            (self.offset_map, np.clip(self.offset_adu + self.offset_spread_adu * offset, 0, None)),
            (self.variance_map, self.read_noise_adu**2 * np.exp(self.variance_spread * variance)),
        )
        gain, offset, variance = (
            drawn if file is None else _read_map(Path(file), shape) for file, drawn in maps
        )
        return Scmos(gain, offset, np.sqrt(variance))


def _read_map(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    try:
        pixels = np.squeeze(tifffile.imread(path))
    except (OSError, ValueError) as error:
        raise FilmError(
            f"cannot read the map {path} ({error}); expected a TIFF image, a number a pixel"
        ) from error
    if pixels.shape != shape:
        raise SettingError(
            f"the map {path} has the shape {pixels.shape} where the film's frames have {shape}; "
            "crop it, or set the film's height and width"
        )
    values: NDArray[np.float64] = pixels.astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise SettingError(
            f"the map {path} holds a value that is negative or no number; expected an offset in "
            "ADU, a gain in ADU a photon or a variance in ADU squared for every pixel"
        )
    return values
