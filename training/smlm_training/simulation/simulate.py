"""Films of blinking molecules: structure -> optics -> camera.

========  ====================  ==========  ========  =================
stage     where                 array       dtype     unit
========  ====================  ==========  ========  =================
molecule  ``shine``             N,E         float64   px, photons
light     ``expected_photons``  N,H,W       float64   photons
reading   ``Camera.expose``     N,H,W       uint16    ADU
========  ====================  ==========  ========  =================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.camera import Camera
from smlm_training.simulation.fluorophores import Fluorophore as Fluorophore
from smlm_training.simulation.profiles import Profile, integrated_profile
from smlm_training.simulation.spot_shape import ROUND, SpotShape
from smlm_training.simulation.structures import Structure

_WIDE_PX = 256
"""Fields with a longer edge are rendered in tiles."""

_TILE_PX = 64
"""Edge of a tile: a quarter of the time of tiles four times as wide."""

_PROFILE_VALUES = 4_000_000
"""Most values of the spots' profiles in memory at a time."""


@dataclass(frozen=True)
class Emitters:
    """The molecules of each frame, padded to the fullest one.

    All arrays have the shape (N, E); a place that is not taken has zero photons.
    Positions are from the corner of the first pixel, ``sigma_px`` is the standard
    deviation of the spot's core, the geometric mean of those along y and x, and ``ratio``
    the first over the second.
    """

    y_px: NDArray[np.float64]
    x_px: NDArray[np.float64]
    photons: NDArray[np.float64]
    sigma_px: NDArray[np.float64]
    ratio: NDArray[np.float64] = field(default_factory=lambda: np.ones((1, 1)))

    def __post_init__(self) -> None:
        """Give each place a ratio."""
        object.__setattr__(self, "ratio", np.broadcast_to(self.ratio, self.photons.shape))

    def inside(self, height_px: int, width_px: int) -> NDArray[np.bool_]:
        """Places with a molecule in the field of view, shape (N, E)."""
        within_y = (self.y_px >= 0) & (self.y_px < height_px)
        within_x = (self.x_px >= 0) & (self.x_px < width_px)
        return (self.photons > 0) & within_y & within_x

    def of_frames(self, first: int, last: int) -> Emitters:
        """The molecules of the frames from ``first`` up to ``last``, without it."""
        return self._each(lambda values: values[first:last])

    def between(self, low_px: float, high_px: float, along_px: NDArray[np.float64]) -> Emitters:
        """The molecules whose coordinate ``along_px`` (N, E) is in a range, in as few places."""
        kept = (self.photons > 0) & (along_px >= low_px) & (along_px < high_px)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : int(kept.sum(axis=1).max(initial=0))]
        free = ~np.take_along_axis(kept, order, axis=1)
        packed = self._each(lambda values: np.take_along_axis(values, order, axis=1))
        packed.photons[free] = 0
        return packed

    def with_places(self, places: int) -> Emitters:
        """The same molecules, with free places after the taken ones."""
        free = ((0, 0), (0, places - self.photons.shape[1]))
        y_px, x_px, photons = (np.pad(one, free) for one in (self.y_px, self.x_px, self.photons))
        sigma_px, ratio = (
            np.pad(one, free, constant_values=1.0) for one in (self.sigma_px, self.ratio)
        )
        return Emitters(y_px, x_px, photons, sigma_px, ratio)

    def _each(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Emitters:
        return Emitters(*(change(values) for values in vars(self).values()))


@dataclass(frozen=True)
class Film:
    """Frames, and the truth about them."""

    frames_adu: NDArray[np.uint16]
    emitters: Emitters


def shine(
    rng: np.random.Generator,
    structure: Structure,
    fluorophore: Fluorophore,
    frames: int,
) -> Emitters:
    """Molecules that shine in each of ``frames`` independent frames."""
    counts = rng.poisson(structure.expected_count(), frames)
    most = max(int(counts.max(initial=0)), 1)
    taken = np.arange(most) < counts[:, None]
    y_px, x_px, photons = (np.zeros((frames, most)) for _ in range(3))
    total = int(counts.sum())
    y_px[taken], x_px[taken] = structure.sample(rng, total)
    photons[taken] = fluorophore.draw_photons(rng, total)
    sigma_px = fluorophore.draw_sigma_px(rng, (frames, most))
    wider_y, wider_x = fluorophore.shape.draw_widths(rng, (frames, most))
    ratio = wider_y / wider_x
    return Emitters(y_px, x_px, photons, sigma_px * np.sqrt(wider_y * wider_x), ratio)


def expected_photons(
    emitters: Emitters,
    height_px: int,
    width_px: int,
    *,
    shape: SpotShape = ROUND,
    profile: Profile = integrated_profile,
) -> NDArray[np.float64]:
    """Mean photons of every pixel from the molecules, without background.

    The spot is a sum of two-dimensional Gaussians with the shares and widths of ``shape.parts``;
    each separates into a profile along y and one along x, see ``profiles``. Wide fields are
    rendered tile by tile from the molecules within 8 sigma, and long films frames by frames, so
    that memory does not grow with either; beyond 8 sigma less than 1e-14 of the light is left out.

    Returns
    -------
    ndarray, shape (N, height_px, width_px), float64
    """
    photons = np.zeros((len(emitters.photons), height_px, width_px))
    for share, wider in shape.parts:
        part = replace(
            emitters, photons=share * emitters.photons, sigma_px=wider * emitters.sigma_px
        )
        _add_gaussians(photons, part, profile)
    return photons


def _add_gaussians(photons: NDArray[np.float64], emitters: Emitters, profile: Profile) -> None:
    """Add one Gaussian for each molecule to the photons (N, Y, X)."""
    _, height_px, width_px = photons.shape
    edge_px = _TILE_PX if max(height_px, width_px) > _WIDE_PX else _WIDE_PX
    for top, left, here in _tiles(emitters, height_px, width_px, edge_px):
        tile = photons[:, top : top + edge_px, left : left + edge_px]
        _, height, width = tile.shape
        step = max(_PROFILE_VALUES // max(here.photons.shape[1] * (height + width), 1), 1)
        for first in range(0, len(tile), step):
            part = here.of_frames(first, first + step)
            elongation = np.sqrt(part.ratio)
            along_y = profile(part.y_px, part.sigma_px * elongation, height)
            along_x = profile(part.x_px, part.sigma_px / elongation, width)
            along_y = along_y * part.photons[:, :, None].astype(along_y.dtype)
            tile[first : first + step] += np.matmul(along_y.transpose(0, 2, 1), along_x)


def _tiles(
    emitters: Emitters, height_px: int, width_px: int, edge_px: int
) -> Iterator[tuple[int, int, Emitters]]:
    """Top, left and molecules of each tile, whose positions are from the tile's corner."""
    if max(height_px, width_px) <= edge_px:
        yield 0, 0, emitters
        return
    elongation = np.sqrt(np.maximum(emitters.ratio, 1 / emitters.ratio))
    reach_px = 8 * float((emitters.sigma_px * elongation).max(initial=0))
    for top in range(0, height_px, edge_px):
        row = emitters.between(top - reach_px, top + edge_px + reach_px, emitters.y_px)
        for left in range(0, width_px, edge_px):
            here = row.between(left - reach_px, left + edge_px + reach_px, row.x_px)
            yield top, left, replace(here, y_px=here.y_px - top, x_px=here.x_px - left)


def film(
    rng: np.random.Generator,
    *,
    structure: Structure,
    fluorophore: Fluorophore,
    camera: Camera,
    background_photons: float | NDArray[np.float64],
    frames: int,
    height_px: int,
    width_px: int,
    profile: Profile = integrated_profile,
) -> Film:
    """A film of ``frames`` independent frames, and the truth.

    ``background_photons`` is a number, or one for each pixel, shape (height_px, width_px).
    """
    emitters = shine(rng, structure, fluorophore, frames)
    photons = expected_photons(
        emitters, height_px, width_px, shape=fluorophore.shape, profile=profile
    )
    photons += background_photons
    return Film(camera.expose(rng, photons), emitters)


def joined(blocks: Sequence[Film]) -> Film:
    """One film of blocks that follow one another."""
    if len(blocks) == 1:
        return blocks[0]
    places = max(block.emitters.photons.shape[1] for block in blocks)
    padded = [vars(block.emitters.with_places(places)).values() for block in blocks]
    emitters = Emitters(*(np.concatenate(values) for values in zip(*padded, strict=True)))
    return Film(np.concatenate([block.frames_adu for block in blocks]), emitters)
