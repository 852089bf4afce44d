"""How unlike the molecules of a film are in brightness, and the scale that follows from it.

The scale of a film (`smlm_pipeline.compute.fluctuations`) is E[I^3] / E[I^2] of the light I of its
molecules, so at the same mean it is larger where molecules are more unlike: by a half for a
relative spread of 0.5. A network that took it for a measure of the mean would find too few
molecules wherever they overlap. Isolated molecules show how unlike they are: a wrong scale changes
their stated light nearly alike, and a common factor does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.compute.window import Window
from smlm_pipeline.settings import LEVEL_PIXELS

NOMINAL_SPREAD = 0.25
"""Standard deviation of the logarithm of light for which networks take the scale: the mean over
their training films, which have spreads of 0.1 to 0.4."""

STATED_WHERE_ALIKE, STATED_SHARE = 0.02, 0.75
"""Variance of the logarithm of light that answers suggest where molecules are alike, and the share
of their true variance that they suggest beyond it: a network expects a usual spread. Measured on
simulated films, 6 molecules a square micrometre, with relative spreads of 0.1 to 1."""

USUAL_SPREAD, USUAL_WEIGHT = 0.3, 50.0
"""Spread that is assumed where molecules are not seen apart, and the number of isolated molecules
that count as much as this assumption."""

SPREAD_MAX = 3.0
"""No molecules differ so much: the brightest sixth would be twenty times the usual one."""

ISOLATED_PROBABILITY, ISOLATED_REACH_PX = 0.9, 3
"""An isolated molecule is so sure, and alone in the square of pixels up to so far from its own."""

PERSISTENT, THERE_AGAIN, SURE = 0.1, 0.8, 3.0
"""Molecules persist if so many more of them are there again in the next frame than in the third one
after theirs, where others are there by chance alike; or if so many are there again. The first has
to be so many standard errors from none, the second from this share."""

_LATER = (1, 3)
"""Frames after a molecule's in which others are looked for at its place."""

ENOUGH = 2_000
"""Isolated molecules after which no more frames are looked at."""

ROUNDS, RANGES_PER_ROUND, RANGE_FRAMES = 4, 6, 4
"""Frames are looked at in rounds, each of ranges of consecutive frames all over the film."""

_PLACE = [contract.MOLECULE_COLUMNS.index(name) for name in ("frame", "y_px", "x_px")]
_PROBABILITY, _INTENSITY, _SIGMA_INTENSITY = (
    contract.MOLECULE_COLUMNS.index(name)
    for name in ("probability", "intensity", "sigma_intensity")
)


_Places = NDArray[np.int64]


@dataclass(frozen=True)
class IsolatedLight:
    """Light of isolated molecules, (K,) float64, in scales, and its standard errors.

    ``again`` (2, 2) int64: for the next frame, and for the third one after a molecule's, at how
    many of their places there are molecules again, and of how many that is known.
    """

    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]
    again: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 2), np.int64))

    @classmethod
    def joined(cls, parts: Sequence[IsolatedLight]) -> IsolatedLight:
        """The light of all parts."""
        return cls(
            np.concatenate([part.intensity for part in parts]),
            np.concatenate([part.sigma for part in parts]),
            np.sum([part.again for part in parts], axis=0),
        )

    @property
    def persists(self) -> bool:
        """Whether molecules shine in several frames in a row."""
        seen, asked = (self.again + np.array([1, 2])).T  # a half where nothing is known
        (soon, later), errors = seen / asked, np.sqrt(seen * (asked - seen) / asked**3)
        more = soon - later > max(PERSISTENT, SURE * np.hypot(*errors))
        return bool(more or soon - SURE * errors[0] > THERE_AGAIN)

    def spread(self) -> float:
        """Standard deviation of the logarithm of the molecules' true light.

        A network's answer lies between what it sees and what is usual, so the true values vary by
        more than the answers do: by their errors. Half the distance of two quantiles is the
        deviation of a normal variable; what is not resolved, and counts double, is beyond them.
        """
        count, squares = len(self.intensity), 0.0
        if count:
            low, high = np.quantile(np.log(self.intensity), (0.16, 0.84))
            stated = ((high - low) / 2) ** 2 + np.median(self.sigma / self.intensity) ** 2
            squares = max(stated - STATED_WHERE_ALIKE, 0.0) / STATED_SHARE
        mean = (count * squares + USUAL_WEIGHT * USUAL_SPREAD**2) / (count + USUAL_WEIGHT)
        return float(np.sqrt(mean))


def isolated_light(table: NDArray[np.float32], window: Window, frames: int) -> IsolatedLight:
    """Light of the isolated molecules of a request.

    Parameters
    ----------
    table : ndarray, shape (M, 8), float32
        Molecules, as ``contract.MOLECULES``.
    window : Window
        The core of the tile. Molecules near its edge, beyond which none are listed, are left out.
    frames : int
        Frames of the request.
    """
    reach, shape = ISOLATED_REACH_PX, (frames, window.height_px, window.width_px)
    frame, y, x = table[:, _PLACE].astype(np.int64).T
    y, x = y - window.top_px, x - window.left_px
    y, x = np.clip(y, 0, shape[1] - 1), np.clip(x, 0, shape[2] - 1)  # places are rounded
    number = np.bincount(np.ravel_multi_index((frame, y, x), shape), minlength=np.prod(shape))
    crowd = np.pad(number.reshape(shape), ((0, 0), (1, 0), (1, 0)))
    crowd = crowd.cumsum(axis=1).cumsum(axis=2)  # its differences are the sums of squares
    inner_y = (y >= reach) & (y < window.height_px - reach)
    inner_x = (x >= reach) & (x < window.width_px - reach)
    sure = table[:, _PROBABILITY] >= ISOLATED_PROBABILITY
    chosen = np.flatnonzero(inner_y & inner_x & sure)
    frame, y, x = frame[chosen], y[chosen], x[chosen]

    def within(reach: int, frame: _Places, y: _Places, x: _Places) -> _Places:
        """Molecules in the square around each place."""
        top, bottom, left, right = y - reach, y + reach + 1, x - reach, x + reach + 1
        below = crowd[frame, bottom, right] - crowd[frame, top, right]
        found: _Places = below - (crowd[frame, bottom, left] - crowd[frame, top, left])
        return found

    alone = within(reach, frame, y, x) == 1
    again = np.zeros((2, 2), np.int64)
    for row, later in enumerate(_LATER):
        known = alone & (frame + later < frames)
        there = within(1, frame[known] + later, y[known], x[known])
        again[row] = np.count_nonzero(there), len(there)
    light = table[chosen[alone]].astype(np.float64)
    return IsolatedLight(light[:, _INTENSITY], light[:, _SIGMA_INTENSITY], again)


def look(
    frame_count: int,
    frame_pixels: int,
    light_of: Callable[[list[range]], Iterable[IsolatedLight]],
) -> float | None:
    """The spread of a film's molecules, from a few of its frames.

    Parameters
    ----------
    frame_count, frame_pixels : int
        Frames of the film, and pixels of a frame.
    light_of : callable
        The light of the isolated molecules in ranges of frames, in any order.

    Returns
    -------
    float or None
        The spread, to two digits: so it is the same where answers differ in their last bits. None
        where molecules persist and are not more alike than usual: what unlike light adds to the
        scale of such films, places that shine again take from it.
    """
    most = max(LEVEL_PIXELS // (RANGE_FRAMES * frame_pixels), RANGES_PER_ROUND)
    count = min(ROUNDS * RANGES_PER_ROUND, most, -(-frame_count // RANGE_FRAMES))
    firsts = spread_evenly(max(frame_count - RANGE_FRAMES, 0) + 1, count)
    ranges = [range(first, min(first + RANGE_FRAMES, frame_count)) for first in firsts]
    rounds = -(-len(ranges) // RANGES_PER_ROUND)
    found = IsolatedLight(np.empty(0), np.empty(0))
    for number in range(rounds):
        found = IsolatedLight.joined([found, *light_of(ranges[number::rounds])])
        if len(found.intensity) >= ENOUGH:
            break
    spread = min(round(found.spread(), 2), SPREAD_MAX)
    return None if found.persists and spread >= NOMINAL_SPREAD else spread


def scale_factor(spread: float) -> float:
    """The nominal scale over that which was estimated from fluctuations.

    E[I^3] / E[I^2] of log-normal light I is exp(2 s^2) times its mean, where s is the standard
    deviation of its logarithm. For light with a gamma distribution of the same s it is less: by
    7 % at a relative spread of 0.4.
    """
    return float(np.exp(2 * (NOMINAL_SPREAD**2 - spread**2)))
