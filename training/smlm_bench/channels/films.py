"""Films of two channels: curves that blink, and the second channel shifted, turned and scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.registration.affine import Affine
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.profiles import tabulated_profile
from smlm_training.simulation.simulate import Emitters, expected_photons

PIXEL_NM = 100.0
_CAMERA = Emccd(2.0, 100.0)
_SIGMA_PX, _BACKGROUND_PHOTONS, _CURVES, _POINTS = 1.3, 20.0, 10, 1500
_BEAD_PHOTONS = 20_000.0


@dataclass(frozen=True)
class Geometry:
    """Where the second channel shows what the first one does, about the middle of the field."""

    shift_yx_px: tuple[float, float]
    turned_deg: float = 0.0
    magnification: float = 1.0

    def affine(self, height_px: int, width_px: int) -> Affine:
        """The map of places, in nm."""
        angle = math.radians(self.turned_deg)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        matrix = self.magnification * turn
        middle_nm = np.array([height_px, width_px]) * PIXEL_NM / 2
        shift_nm = np.array(self.shift_yx_px) * PIXEL_NM
        return Affine(matrix, middle_nm + shift_nm - matrix @ middle_nm)


@dataclass(frozen=True)
class Sample:
    """What two channels show.

    ``common`` is the share of the second one's molecules that shine on the structure of the first
    one; ``per_frame`` are molecules a frame in each channel.
    """

    name: str
    common: float
    per_frame: float = 12.0
    frames: int = 400


def two_channel_film(
    sample: Sample,
    split: str,
    geometry: Geometry,
    *,
    edge_px: int = 64,
    seed: int = 1,
    drift_nm: NDArray[np.float64] | None = None,
) -> NDArray[np.uint16]:
    """A film whose channels are square, ``edge_px`` wide.

    Parameters
    ----------
    sample : Sample
        What the channels show.
    split : str
        One of `film.selection.SPLITS`.
    geometry : Geometry
        Of the second channel.
    edge_px : int
        Edge of a channel.
    seed : int
        Other numbers make other films.
    drift_nm : ndarray, shape (2, F), optional
        How far the stage has moved down and to the right in each frame of the film; F is twice
        ``sample.frames`` where channels alternate. By default it is at rest.

    Returns
    -------
    ndarray, shape (frames, Y, X), uint16
        ADU; of alternating channels, twice as many frames.
    """
    rng = np.random.default_rng(seed)
    first, second = (_curves(rng, edge_px) for _ in range(2))
    affine = geometry.affine(edge_px, edge_px)
    of_first = _places(rng, [(first, 1.0)], sample, affine=None)
    shares = [(first, sample.common), (second, 1 - sample.common)]
    of_second = _places(rng, shares, sample, affine=affine)
    moved_px = [0.0 * of_first[:, :, :1]] * 2
    if drift_nm is not None:
        taken = [np.s_[:, number::2] if split == "alternating" else np.s_[:] for number in (0, 1)]
        moved_px = [drift_nm[some][:, :, None] / PIXEL_NM for some in taken]
    frames = [
        _frames_adu(rng, places + moved, edge_px)
        for places, moved in zip((of_first, of_second), moved_px, strict=True)
    ]
    return joined(frames[0], frames[1], split)


def bead_film(
    split: str, geometry: Geometry, *, beads: int = 30, edge_px: int = 64, seed: int = 2
) -> NDArray[np.uint16]:
    """Ten frames of beads that both channels show, (frames, Y, X), uint16."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(4, edge_px - 4, (2, beads))
    there = geometry.affine(edge_px, edge_px).at(places * PIXEL_NM) / PIXEL_NM
    channels = []
    for yx_px in (places, there):
        light = _light(yx_px[:, None, :].repeat(10, axis=1), _BEAD_PHOTONS, edge_px)
        channels.append(_CAMERA.expose(rng, light))
    return joined(channels[0], channels[1], split)


def joined(first: NDArray[np.uint16], second: NDArray[np.uint16], split: str) -> NDArray[np.uint16]:
    """Put the frames of two channels into one film."""
    if split == "alternating":
        return np.stack([first, second], axis=1).reshape(-1, *first.shape[1:])
    return np.concatenate([first, second], axis=2 if split == "left,right" else 1)


def _curves(rng: np.random.Generator, edge_px: int) -> NDArray[np.float64]:
    """Points (2, K) of curves, in pixels."""
    paths = []
    for _ in range(_CURVES):
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.02, _POINTS))
        step = edge_px / 1000 * np.stack([np.sin(angle), np.cos(angle)])
        paths.append(rng.uniform(0, edge_px, (2, 1)) + np.cumsum(step, axis=1))
    points = np.concatenate(paths, axis=1)
    inside: NDArray[np.bool_] = ((points > 0) & (points < edge_px)).all(axis=0)
    return np.asarray(points[:, inside])


def _places(
    rng: np.random.Generator,
    shares: list[tuple[NDArray[np.float64], float]],
    sample: Sample,
    *,
    affine: Affine | None,
) -> NDArray[np.float64]:
    """Places (2, frames, E) of the molecules of each frame, which shine for two frames or so."""
    count = round(sample.per_frame)
    lit = (2, sample.frames // 2 + 1, count)
    chosen = rng.random(lit[1:]) < shares[0][1]
    places = np.empty(lit)
    for (points, _), some in zip(shares, (chosen, ~chosen), strict=False):
        places[:, some] = points[:, rng.integers(points.shape[1], size=int(some.sum()))]
    if affine is not None:
        flat = affine.at(places.reshape(2, -1) * PIXEL_NM) / PIXEL_NM
        places = flat.reshape(places.shape)
    frame = (np.arange(sample.frames)[:, None] + np.arange(count) % 2) // 2
    return np.asarray(places[:, frame, np.arange(count)])


def _frames_adu(
    rng: np.random.Generator, places_px: NDArray[np.float64], edge_px: int
) -> NDArray[np.uint16]:
    photons = rng.gamma(4.0, 250.0, places_px.shape[1:])
    return _CAMERA.expose(rng, _light(places_px, photons, edge_px))


def _light(
    places_px: NDArray[np.float64], photons: NDArray[np.float64] | float, edge_px: int
) -> NDArray[np.float64]:
    """Photons (frames, edge, edge) of molecules at these places (2, frames, E)."""
    y_px, x_px = places_px
    light = np.broadcast_to(photons, y_px.shape)
    emitters = Emitters(y_px, x_px, light, np.full_like(y_px, _SIGMA_PX))
    spots = expected_photons(emitters, edge_px, edge_px, profile=tabulated_profile)
    return spots + _BACKGROUND_PHOTONS
