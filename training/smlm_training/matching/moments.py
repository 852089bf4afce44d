"""Average cumulants, noise and light over the pixels of each frame, for all estimates.

Molecules that blink independently add their cumulants (Campbell's theorem; used for
imaging by Dertinger et al., doi 10.1073/pnas.0907866106): averaged over the field, each
cumulant is the density times a power of the photons times an overlap of the spot, whatever
the structure. Cumulants of distinct pixels (doi 10.1364/OE.18.018875) are free of the camera's
noise. That noise is measured separately, through a filter that passes only details finer than
a microscope resolves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import scipy
from numpy.typing import NDArray

LAG_PX_MAX = 10
"""Covariances are taken between pixels up to this far apart: a halo reaches far."""

NOISE_TAPS: NDArray[np.float64] = np.array([1, -6, 15, -20, 15, -6, 1]) / np.sqrt(924)
"""Along each axis, the finest details: of a spot of sigma 1 px, 1e-4 of its energy passes.
Squares sum to one, so white noise keeps its variance."""

_BLOCK_FRAMES = 50
"""Fluctuations are about the mean of so many frames, so that bleaching is not counted."""

_Frames = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Averages over the pixels of each of T frames; the first axis is T.

    ``covariance_adu2`` (T, LAG_PX_MAX + 1, 2 LAG_PX_MAX + 1) is between pixels some rows (0
    and more) and columns (-LAG_PX_MAX and more) apart; ``third_adu3`` and ``fourth_adu4``
    (T,) are cumulants among three and four pixels of a square of two by two. All others
    are (T,) too: ``noise_adu2`` is the noise about a pixel and ``light_adu`` the reading
    there; ``expected_adu`` is the reading that this noise is proportional to, slightly
    different because of the temporal mean in the noise. The last two are mean products.
    """

    covariance_adu2: _Frames
    third_adu3: _Frames
    fourth_adu4: _Frames
    noise_adu2: _Frames
    light_adu: _Frames
    expected_adu: _Frames
    noise_light_adu3: _Frames
    expected_light_adu2: _Frames

    def mean(self, chosen: NDArray[np.intp] | None = None) -> Moments:
        """Averages over the frames, or over those ``chosen``, shape (K,), without the axis T."""
        values = (getattr(self, field.name) for field in fields(self))
        return Moments(*(v.mean(0) if chosen is None else v[chosen].mean(0) for v in values))


def measure(frames_adu: NDArray[np.uint16], distance_frames: int = 1) -> Moments:
    """Moments of each frame.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Frames in ADU; at least 8, of at least 16 pixels along each axis.

    distance_frames : int
        Distance at which frames show other molecules. Fluctuations are about the mean of frames
        so far apart, or molecules that persist would be part of the mean.

    Returns
    -------
    Moments
        Corrected for the means, which are estimated from the same frames.
    """
    covariance = np.empty((len(frames_adu), LAG_PX_MAX + 1, 2 * LAG_PX_MAX + 1))
    third = np.empty(len(frames_adu))
    for places, fluctuation_adu in _fluctuations(frames_adu, distance_frames):
        count = len(places)
        covariance[places] = _covariances(fluctuation_adu) * count / (count - 1)
        third[places] = _third_moment(fluctuation_adu) * count**2 / ((count - 1) * (count - 2))
    return Moments(
        covariance,
        third,
        _fourth_cumulant(frames_adu, distance_frames),
        *_noise_and_light(frames_adu),
    )


def _fluctuations(
    frames_adu: NDArray[np.uint16], distance_frames: int
) -> Iterator[tuple[NDArray[np.intp], _Frames]]:
    """Places of frames that are so far apart, a block at a time, and frames minus their mean."""
    blocks = max(round(len(frames_adu) / (_BLOCK_FRAMES * distance_frames)), 1)
    for block in np.array_split(np.arange(len(frames_adu)), blocks):
        for first in range(distance_frames):
            places = block[first::distance_frames]
            values_adu = frames_adu[places].astype(np.float64)
            yield places, values_adu - values_adu.mean(axis=0)


def _covariances(fluctuation_adu: _Frames) -> _Frames:
    """Mean product of all pairs of pixels of a frame at each lag, by Fourier transforms."""
    size = fluctuation_adu.shape[1:]
    padded = [scipy.fft.next_fast_len(edge + LAG_PX_MAX, real=True) for edge in size]
    rows, columns = np.arange(LAG_PX_MAX + 1), np.arange(-LAG_PX_MAX, LAG_PX_MAX + 1)
    pairs = np.outer(size[0] - rows, size[1] - abs(columns))
    covariances = np.empty((len(fluctuation_adu), *pairs.shape))
    for index, frame in enumerate(fluctuation_adu):
        power = np.abs(scipy.fft.rfft2(frame, padded)) ** 2
        covariances[index] = scipy.fft.irfft2(power, padded)[np.ix_(rows, columns)] / pairs
    return covariances


def _corners(fluctuation_adu: _Frames) -> tuple[_Frames, _Frames, _Frames, _Frames]:
    """The four pixels of every square of two by two: upper left and right, lower left and right."""
    upper, lower = fluctuation_adu[:, :-1], fluctuation_adu[:, 1:]
    return upper[:, :, :-1], upper[:, :, 1:], lower[:, :, :-1], lower[:, :, 1:]


def _third_moment(fluctuation_adu: _Frames) -> _Frames:
    a, b, c, d = _corners(fluctuation_adu)
    ab, cd = a * b, c * d
    product: _Frames = np.mean(ab * (c + d) + cd * (a + b), axis=(1, 2)) / 4
    return product


def _fourth_cumulant(frames_adu: NDArray[np.uint16], distance_frames: int) -> _Frames:
    """Fourth moment minus products of covariances, both unbiased to the first order in 1/T."""
    total = len(frames_adu)
    moments, weights = np.empty((2, total))
    sums: list[_Frames | float] = [0.0] * 6
    for places, fluctuation_adu in _fluctuations(frames_adu, distance_frames):
        count = len(places)
        a, b, c, d = _corners(fluctuation_adu)
        pairs = ((a, b), (c, d), (a, c), (b, d), (a, d), (b, c))
        sums = [old + (p * q).sum(axis=0) for old, (p, q) in zip(sums, pairs, strict=True)]
        moments[places] = np.mean(a * b * c * d, axis=(1, 2))
        weights[places] = (1 - 1 / count) ** 4 + (count - 1) / count**4
    ab, cd, ac, bd, ad, bc = (product / total for product in sums)
    products = float(np.mean(ab * cd + ac * bd + ad * bc))
    # Errors of the covariances correlate, which adds (3 cumulant + 2 products) / T to products.
    centred = moments - products / (1 + 2 / total)
    cumulant: _Frames = centred / (1 - 3 / (total + 2)) / weights
    return cumulant


def _noise_and_light(frames_adu: NDArray[np.uint16]) -> list[_Frames]:
    """Noise, light, expected light and mean products of noise and light, expected and light.

    The noise is the square of the filtered frame, so a pixel has the noise of its neighbours
    weighted by the squared filter; the light has the same weights. The temporal mean is
    subtracted because of the camera's fixed pattern; it adds the noise of all frames to
    each frame.
    """
    count = len(frames_adu)
    mean_adu = frames_adu.mean(axis=0, dtype=np.float64)
    mean_light_adu = _filtered(mean_adu, NOISE_TAPS**2)
    means = np.empty((5, count))
    for index, frame in enumerate(frames_adu):
        noise_adu2 = _filtered(frame - mean_adu, NOISE_TAPS) ** 2
        light_adu = _filtered(frame.astype(np.float64), NOISE_TAPS**2)
        expected_adu = (1 - 2 / count) * light_adu + mean_light_adu / count
        products = noise_adu2 * light_adu, expected_adu * light_adu
        parts = (noise_adu2, light_adu, expected_adu, *products)
        means[:, index] = [part.mean() for part in parts]
    return list(means)


def _filtered(image: _Frames, taps: NDArray[np.float64]) -> _Frames:
    """The image filtered along both axes, without the border that lacks neighbours."""
    inner = slice(len(taps) // 2, -(len(taps) // 2))
    filtered: _Frames = scipy.ndimage.correlate1d(
        scipy.ndimage.correlate1d(image, taps, 0), taps, 1
    )
    return filtered[inner, inner]
