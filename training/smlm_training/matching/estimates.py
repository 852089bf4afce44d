"""Estimate all parameters from one film, with uncertainties by resampling its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import frame_backgrounds
from smlm_pipeline.compute.persistence import independent_distance
from smlm_pipeline.errors import FilmError
from smlm_training.matching.camera_levels import CameraKind, NoiseLine, camera_levels, noise_line
from smlm_training.matching.kinetics import change_adu2, correlation_of, on_frames
from smlm_training.matching.molecules import (
    Blinking,
    blinking,
    brightness_adu,
    density_per_px2,
    light_adu,
)
from smlm_training.matching.moments import Moments, measure
from smlm_training.matching.psf_width import (
    SIGMA_PX_RANGE,
    Spot,
    best_halo_width,
    fit_like,
    fit_spot,
)

RESAMPLES = 100
_BLOCKS_MOST, _BLOCKS_LEAST = 50, 10
"""Runs of consecutive frames that are resampled; a run is twice as long as molecules stay on."""

_SIGNIFICANCE = 5.0
"""Standard errors by which blinking must exceed zero."""

GUESSED_SPREAD = (0.05, 0.5)
"""Relative spread of photons, as far as the film does not determine it."""

_SIGMA_SHARE_ERROR = 0.015
"""Of sigma, for spots that differ in width: sigmas of simulated films are too small by this share,
and by twice as much for widths that spread by an eighth."""

_GAIN_SHARE_ERROR = 0.04
"""Of an estimated gain, and of the photons that follow from it: pixels that differ and dim films
shift the line of noise by this share, which resampling does not show."""

_PHOTONS_SHARE_ERROR = 0.06
"""Of the photons besides: a wide halo, as of an Airy pattern, has up to 15 % of them and may hide
in the background."""

_SPREAD2_ERROR = 0.02
"""Error of the squared spread of photons by a spot that is not exactly a Gaussian."""

_RATIO_SHARE_ERROR, _ON_FRAMES_SHARE_ERROR = 0.01, 0.05
_SHORTEST_FRAMES = 0.1
"""Errors of the ratio of the spot's widths and of the length of blinks; and of the latter where
each frame shows other molecules."""

_HALO_SIGNIFICANCE = 4.0
"""Standard errors by which the light of a halo must exceed zero to be part of the spot."""

_LIGHT_SHARE_ERROR = 0.15
"""Of the light of all molecules, by which the background is what is left: spots and photons that
are distributed otherwise than assumed change it by this share."""


@dataclass(frozen=True)
class KnownCamera:
    """The user's knowledge of the camera: its kind, and gain and offset or None."""

    kind: CameraKind
    gain_adu_per_photon: float | None = None
    offset_adu: float | None = None


@dataclass(frozen=True)
class Value:
    """An estimate and its standard error, infinite where the film does not determine it."""

    value: float
    error: float

    @property
    def relative_error(self) -> float:
        """Error divided by the value."""
        return self.error / self.value if self.value > 0 else float("inf")

    def with_share_error(self, share: float) -> Value:
        """The value with an additional independent error of this share of it."""
        return Value(self.value, float(np.hypot(self.error, share * self.value)))


@dataclass(frozen=True)
class Estimates:
    """All parameters that are estimated from a film.

    ``photons`` is the mean of a molecule that shines all of a frame and ``photons_spread`` its
    relative standard deviation, ``density_per_px2`` molecules per frame and square pixel.
    ``spot_ratio`` is the spot's width along y over that along x, ``halo_light`` the share of its
    light in a halo that is ``halo_width`` times as wide, 0 where none shows. ``on_frames`` is the
    mean length of blinks, 0 where each frame shows other molecules.
    ``misfit`` is that of the spot; ``spread_measured`` is the weight of this film, against
    a guess, in the spread of photons.
    """

    sigma_px: Value
    spot_ratio: Value
    halo_light: Value
    on_frames: Value
    photons: Value
    photons_spread: Value
    background_photons: Value
    density_per_px2: Value
    offset_adu: Value
    gain_adu_per_photon: Value
    halo_width: float
    misfit: float
    spread_measured: float


@dataclass(frozen=True)
class _Film:
    """Averages over all frames and over resampled ones, and the spots that they show."""

    averages: list[Moments]
    spots: list[Spot]
    on_frames: list[float]
    halo_light: Value
    halo_width: float


@dataclass(frozen=True)
class _Draw:
    """Results of one choice of frames, with guesses of the parameters they do not determine."""

    spot: Spot
    blinking: Blinking
    line: NoiseLine
    on_frames: float
    read_noise: float
    spread2: float


def estimate(
    frames_adu: NDArray[np.uint16],
    known: KnownCamera,
    pairs_adu: tuple[NDArray[np.uint16], NDArray[np.uint16]] | None = None,
) -> Estimates:
    """Estimate the parameters of the simulator.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Frames in ADU, spread over the film.
    known : KnownCamera
        Values that are not estimated.
    pairs_adu : two ndarrays, shape (P, Y, X), uint16
        Some frames, and those that follow them in the film; by default all of ``frames_adu``,
        where they follow one another.

    Returns
    -------
    Estimates
        Errors are half of the range that holds 68 % of the results of ``RESAMPLES``
        resampled films; read noise and, as far as the film does not determine it, the
        spread of photons are drawn from a range for each.

    Raises
    ------
    FilmError
        If nothing blinks in the film, or spots are too narrow or too wide.
    """
    distance = _distance(frames_adu)
    measured = measure(frames_adu, distance)
    if not measured.covariance_adu2.any():
        raise FilmError(
            "no pixel changes in the frames measured; expected a film of blinking molecules"
        )
    rng = np.random.default_rng(len(frames_adu))
    runs = int(np.clip(len(frames_adu) // (2 * distance), _BLOCKS_LEAST, _BLOCKS_MOST))
    averages = [measured.mean(), *_resampled(measured, runs, rng)]
    halo_light, halo_width = _halo(averages)
    shown = halo_width if halo_light.value else None
    spots = _spots(averages, shown)
    _check_spots(spots)
    first, following = pairs_adu or (frames_adu[:-1], frames_adu[1:])
    lengths = _lengths_of_blinks(change_adu2(first, following), spots, runs, rng)
    return _combined(_Film(averages, spots, lengths, halo_light, halo_width), known, rng)


def _distance(frames_adu: NDArray[np.uint16]) -> int:
    """Distance at which the frames show other molecules."""
    count, height, width = frames_adu.shape
    backgrounds_adu = frame_backgrounds(frames_adu.reshape(count, -1))
    everywhere = np.ones((height, width), bool)
    frames = np.arange(count)
    distance_frames, _ = independent_distance(frames_adu, backgrounds_adu, everywhere, frames)
    return distance_frames


def _spots(averages: list[Moments], halo_width: float | None) -> list[Spot]:
    """The spot of the average over all frames, and those of the others."""
    whole_adu2, *others_adu2 = (moments.covariance_adu2 for moments in averages)
    spot = fit_spot(whole_adu2, halo_width)
    return [spot, *fit_like(spot, whole_adu2, others_adu2, halo_width)]


def _halo(averages: list[Moments]) -> tuple[Value, float]:
    """Light of a halo, 0 if it is within its error, and its width relative to the core."""
    width = best_halo_width(averages[0].covariance_adu2)
    light = _value(np.array([spot.halo_light for spot in _spots(averages, width)]))
    shows = light.value > _HALO_SIGNIFICANCE * light.error
    return (light if shows else Value(0.0, light.error)), width


def _lengths_of_blinks(
    changes_adu2: NDArray[np.float64], spots: list[Spot], runs: int, rng: np.random.Generator
) -> list[float]:
    """Mean length of blinks, from all pairs of frames and from pairs drawn in runs."""
    blocks = np.array_split(changes_adu2, min(len(changes_adu2), runs))
    drawn = rng.integers(0, len(blocks), (RESAMPLES, len(blocks)))
    means = [np.concatenate([blocks[index] for index in row]).mean() for row in drawn]
    return [
        on_frames(correlation_of(float(change), spot))
        for change, spot in zip((changes_adu2.mean(), *means), spots, strict=True)
    ]


def _combined(film: _Film, known: KnownCamera, rng: np.random.Generator) -> Estimates:
    """Estimates from all frames, the first of each list, with errors from the others."""
    draws = [
        _Draw(
            spot,
            blinking(moments, spot, length),
            noise_line(moments, spot, known.kind),
            length,
            *guess,
        )
        for moments, spot, length, guess in zip(
            film.averages, film.spots, film.on_frames, _guesses(known.kind, rng), strict=True
        )
    ]
    weight = _spread_weight(draws)
    results = [_values(draw, known, weight) for draw in draws]
    values = {name: _value(np.array([result[name] for result in results])) for name in results[0]}
    shares = {
        "sigma_px": _SIGMA_SHARE_ERROR,
        "spot_ratio": _RATIO_SHARE_ERROR,
        "photons": _PHOTONS_SHARE_ERROR,
        "on_frames": _ON_FRAMES_SHARE_ERROR,
    }
    if known.gain_adu_per_photon is None:
        shares["gain_adu_per_photon"] = _GAIN_SHARE_ERROR
        shares["photons"] = float(np.hypot(_GAIN_SHARE_ERROR, _PHOTONS_SHARE_ERROR))
    for name, share in shares.items():
        values[name] = values[name].with_share_error(share)
    if not values["on_frames"].value:
        values["on_frames"] = Value(0.0, max(values["on_frames"].error, _SHORTEST_FRAMES))
    light_photons = values.pop("light_photons")
    unsure_photons = np.hypot(_LIGHT_SHARE_ERROR, film.halo_light.error) * light_photons.value
    background = values["background_photons"]
    values["background_photons"] = Value(
        background.value, float(np.hypot(background.error, unsure_photons))
    )
    return Estimates(
        halo_light=film.halo_light,
        halo_width=film.halo_width,
        misfit=film.spots[0].misfit,
        spread_measured=weight,
        **values,
    )


def _resampled(moments: Moments, runs: int, rng: np.random.Generator) -> Iterator[Moments]:
    """Averages over as many frames as measured, in runs drawn with replacement."""
    frames = np.arange(len(moments.light_adu))
    blocks = np.array_split(frames, min(len(frames), runs))
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(blocks), len(blocks))
        yield moments.mean(np.concatenate([blocks[index] for index in drawn]))


def _guesses(kind: CameraKind, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Read noise and squared spread of photons: first the means of the ranges, then draws."""
    read_noise, spread = (
        rng.uniform(*bounds, RESAMPLES) for bounds in (kind.read_noise, GUESSED_SPREAD)
    )
    yield float(np.sqrt(np.mean(read_noise**2))), float(np.mean(spread**2))
    yield from zip(read_noise.tolist(), (spread**2).tolist(), strict=True)


def _check_spots(spots: list[Spot]) -> None:
    strengths = np.array([spot.strength_adu2 for spot in spots])
    if not strengths[0] > _SIGNIFICANCE * strengths.std():
        raise FilmError(
            "no blinking shows: neighbouring pixels do not fluctuate together beyond chance; "
            "expected molecules that switch on and off: take more frames, or more light"
        )
    low, high = SIGMA_PX_RANGE
    if not low * 1.02 < spots[0].sigma_px < high * 0.98:
        raise FilmError(
            f"spots seem to have a sigma of {spots[0].sigma_px:.2f} pixels or beyond; expected "
            f"{low} to {high}: is the film in focus, with pixels of about 100 nm and no drift?"
        )


def _spread_weight(draws: list[_Draw]) -> float:
    """Weight of the measured against the guessed spread, by their variances."""
    measured = np.array([draw.blinking.spread2 for draw in draws])
    guessed = np.array([draw.spread2 for draw in draws])
    error2 = _value(measured).error ** 2 + _SPREAD2_ERROR**2
    return float(guessed.var() / (guessed.var() + error2))


def _values(draw: _Draw, known: KnownCamera, weight: float) -> dict[str, float]:
    """Values by their names in ``Estimates``, for one choice of frames."""
    measured2 = float(np.clip(draw.blinking.spread2, 0, 1))
    spread2 = weight * measured2 + (1 - weight) * draw.spread2
    molecule_adu = brightness_adu(draw.blinking, spread2)
    density = density_per_px2(draw.blinking, spread2)
    gain_adu, offset_adu = camera_levels(
        draw.line,
        known.kind,
        draw.read_noise,
        gain_adu=known.gain_adu_per_photon,
        offset_adu=known.offset_adu,
    )
    molecules_adu = light_adu(draw.blinking, spread2)
    return {
        "sigma_px": draw.spot.sigma_px,
        "spot_ratio": draw.spot.shape.ratio,
        "on_frames": draw.on_frames,
        "photons": molecule_adu / gain_adu,
        "photons_spread": spread2**0.5,
        "background_photons": (draw.line.light_adu - offset_adu - molecules_adu) / gain_adu,
        "light_photons": molecules_adu / gain_adu,
        "density_per_px2": density,
        "offset_adu": offset_adu,
        "gain_adu_per_photon": gain_adu,
    }


def _value(column: NDArray[np.float64]) -> Value:
    """The first, of all frames, with half of the central 68 % of the others as its error."""
    if not np.isfinite(column[0]) or np.isfinite(column).mean() < 0.9:
        return Value(float("nan"), float("inf"))
    low, high = np.nanpercentile(column[1:], (15.87, 84.13))
    return Value(float(column[0]), float(high - low) / 2)
