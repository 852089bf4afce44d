"""Disturb films as instruments and programs do: shutters, lamps, borders, faulty pixels, beads.

Each disturbance changes the frames of a simulated film and knows what is still to be found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.camera import Camera
from smlm_training.simulation.simulate import Emitters, Film, expected_photons


@dataclass(frozen=True)
class Disturbed:
    """A disturbed film and its truth.

    Attributes
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        Its frames, in ADU.
    emitters : Emitters
        Those of the undisturbed film, also where nothing of them is left.
    shown_frames : ndarray, shape (T',), bool
        Whether the frames of the undisturbed film are still in it.
    shown : ndarray, shape (Y, X), bool
        Whether pixels show the picture.
    scored : ndarray, shape (Y, X), bool
        Whether pixels are compared with the truth: not those of a bead.
    """

    frames_adu: NDArray[np.uint16]
    emitters: Emitters
    shown_frames: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    scored: NDArray[np.bool_]

    @classmethod
    def of(cls, film: Film) -> Disturbed:
        """A film as it is."""
        everywhere = np.ones(film.frames_adu.shape[1:], bool)
        frames = np.ones(len(film.frames_adu), bool)
        return cls(film.frames_adu, film.emitters, frames, everywhere, everywhere)

    def with_frames(self, frames_adu: NDArray[np.float64] | NDArray[np.uint16]) -> Disturbed:
        """Other frames with the same truth, rounded down and limited to 16 bits."""
        counts = np.clip(np.floor(frames_adu), 0, 65535).astype(np.uint16)
        return replace(self, frames_adu=counts)

    def true_yx_px(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Y and x of the emitters that are to be found, in camera pixels."""
        height, width = self.shown.shape
        inside = self.emitters.inside(height, width) & self.shown_frames[:, None]
        y, x = self.emitters.y_px[inside], self.emitters.x_px[inside]
        found = (self.shown & self.scored)[y.astype(int), x.astype(int)]
        return y[found], x[found]


Disturbance = Callable[[np.random.Generator, Disturbed, Camera], Disturbed]


def closed_shutter(where: str) -> Disturbance:
    """Dark frames: "first" ten and "half" of the film before it, "single" and "every second"."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        count = len(film.frames_adu)
        dark = _light(rng, camera, 0.02, film.frames_adu.shape).astype(np.uint16)
        if where == "single":
            frames_adu = film.frames_adu.copy()
            frames_adu[count // 3] = dark[0]
            shown = film.shown_frames.copy()
            shown[count // 3] = False
            return replace(film, frames_adu=frames_adu, shown_frames=shown)
        if where == "every second":
            both = np.stack([film.frames_adu, dark], axis=1)
            return film.with_frames(both.reshape(-1, *dark.shape[1:]))
        before = dark[:10] if where == "first" else dark
        return film.with_frames(np.concatenate([before, film.frames_adu]))

    return disturb


def changing_light(course: str, photons: float, *, noisy: bool = True) -> Disturbance:
    """Light of the whole field that decays, flickers, or comes in every tenth frame."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        frames = np.arange(len(film.frames_adu))
        courses = {
            "decays": np.exp(-frames / (len(frames) / 4)),
            "flickers": rng.random(len(frames)),
            "pulses": (frames % 10 == 0).astype(float),
        }
        light = np.broadcast_to(photons * courses[course][:, None, None], film.frames_adu.shape)
        gain = np.asarray(camera.adu_per_photon)
        added = _added(rng, camera, light) if noisy else gain * light
        return film.with_frames(film.frames_adu + added)

    return disturb


def second_colour(photons: float, *, shaded: bool = False) -> Disturbance:
    """Every second frame is another colour's, without molecules; flat, or bright in the middle."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        y, x = _centred(film)
        shape = np.exp(-(y * y + x * x) / (2 * (len(y) / 4) ** 2)) if shaded else np.ones(y.shape)
        light = np.broadcast_to(photons * shape, film.frames_adu.shape)
        other = _light(rng, camera, light, light.shape)
        both = np.stack([film.frames_adu, other], axis=1)
        return film.with_frames(both.reshape(-1, *film.frames_adu.shape[1:]))

    return disturb


def uneven_background(shape: str, photons: float, *, bleaches: bool = False) -> Disturbance:
    """More background in a "cell" with a soft edge, or in the "middle" of the field."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        y, x = _centred(film)
        distance = np.hypot(y, x) / len(y)
        shapes = {
            "cell": 1 / (1 + np.exp((distance - 0.33) * len(y) / 1.5)),
            "middle": np.exp(-(distance**2) / (2 * 0.4**2)),
        }
        frames = np.arange(len(film.frames_adu))[:, None, None] / len(film.frames_adu)
        light = (
            photons * shapes[shape] * (np.exp(-4 * frames) if bleaches else np.ones_like(frames))
        )
        return film.with_frames(film.frames_adu + _added(rng, camera, light))

    return disturb


def border(width_px: int, value_adu: int = 0, *, around: bool = False) -> Disturbance:
    """Constant rows at the top and bottom, or a constant frame around."""

    def disturb(_rng: np.random.Generator, film: Disturbed, _camera: Camera) -> Disturbed:
        shown = film.shown.copy()
        shown[:width_px] = shown[-width_px:] = False
        if around:
            shown[:, :width_px] = shown[:, -width_px:] = False
        frames_adu = np.where(shown, film.frames_adu, value_adu)
        return replace(film.with_frames(frames_adu), shown=shown)

    return disturb


def field_stop(
    extra_photons: float, *, noise_adu: float | None, square: bool = False
) -> Disturbance:
    """A field of view that ends in a stop: outside is the camera's noise, or nothing at all.

    ``extra_photons`` is more background inside; ``noise_adu`` None is a mask of zeros.
    """

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        y, x = _centred(film)
        reach = len(y) / 3
        shown = (np.maximum(abs(y), abs(x)) if square else np.hypot(y, x)) < reach
        light = np.full(film.frames_adu.shape, extra_photons)
        inside = film.frames_adu + _added(rng, camera, light)
        noise = noise_adu or 0.0
        dark = _light(rng, camera, 0.0, inside.shape) + rng.normal(0.5, noise, inside.shape)
        outside = np.zeros(inside.shape) if noise_adu is None else dark
        return replace(film.with_frames(np.where(shown, inside, outside)), shown=shown)

    return disturb


def moving_border() -> Disturbance:
    """Borders of zeros that move, as in a film whose frames were registered."""

    def disturb(_rng: np.random.Generator, film: Disturbed, _camera: Camera) -> Disturbed:
        frames_adu, shown = film.frames_adu.copy(), film.shown.copy()
        for index, frame in enumerate(frames_adu):
            reach = round(3 + 3 * np.sin(index / 15))
            frame[:reach] = frame[:, :reach] = 0
        shown[:7] = shown[:, :7] = False
        return replace(film, frames_adu=frames_adu, shown=shown)

    return disturb


def dead_lines() -> Disturbance:
    """A row of zeros, and a column at the camera's offset."""

    def disturb(_rng: np.random.Generator, film: Disturbed, _camera: Camera) -> Disturbed:
        frames_adu = film.frames_adu.copy()
        _, height, width = frames_adu.shape
        frames_adu[:, height // 3] = 0
        frames_adu[:, :, width // 2] = 100
        return replace(film, frames_adu=frames_adu)

    return disturb


def faulty_pixels(kind: str, count: int = 20) -> Disturbance:
    """Single pixels that are "dead", "saturated", "hot" or that "flicker"."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        frames_adu = film.frames_adu.astype(np.float64)
        frames, height, width = frames_adu.shape
        y, x = np.unravel_index(rng.choice(height * width, count, replace=False), (height, width))
        if kind in ("dead", "saturated"):
            frames_adu[:, y, x] = 0 if kind == "dead" else 65535
        else:
            light = _added(rng, camera, np.full((frames, count), 2500.0))
            on = rng.random((frames, count)) < (0.3 if kind == "flicker" else 1)
            frames_adu[:, y, x] += light * on
        return film.with_frames(frames_adu)

    return disturb


def bead(photons: float, *, flicker: float = 0.0, drift_px: float = 0.0) -> Disturbance:
    """A bead that is always on; its surroundings are not compared with the truth."""

    def disturb(rng: np.random.Generator, film: Disturbed, camera: Camera) -> Disturbed:
        frames, height, width = film.frames_adu.shape
        y = 0.31 * height + drift_px * np.arange(frames)[:, None] / frames
        x = np.full((frames, 1), 0.72 * width)
        light = photons * np.clip(rng.normal(1, flicker, (frames, 1)), 0, None)
        spot = expected_photons(Emitters(y, x, light, np.full((frames, 1), 1.1)), height, width)
        away = np.ones((height, width), bool)
        top, left = round(0.31 * height) - 7, round(0.72 * width) - 7
        away[max(top, 0) : top + 15 + round(drift_px), max(left, 0) : left + 15] = False
        added = film.with_frames(film.frames_adu + _added(rng, camera, spot))
        return replace(added, scored=away)

    return disturb


DISTURBANCES: dict[str, Disturbance] = {
    "shutter closed in the first 10 frames": closed_shutter("first"),
    "shutter closed in one frame": closed_shutter("single"),
    "shutter closed in half of the film": closed_shutter("half"),
    "shutter closed in every second frame": closed_shutter("every second"),
    "background decays from 150 photons": changing_light("decays", 150),
    "background decays from 400 photons": changing_light("decays", 400),
    "background decays from 20 peaks of a molecule": changing_light("decays", 3600),
    "the same without its noise": changing_light("decays", 3600, noisy=False),
    "background flickers up to 60 photons": changing_light("flickers", 60),
    "background flickers up to 200 photons": changing_light("flickers", 200),
    "pulses of 200 photons in every tenth frame": changing_light("pulses", 200),
    "second colour of 50 photons": second_colour(50),
    "second colour of 100 photons": second_colour(100),
    "second colour of 150 photons, shaded": second_colour(150, shaded=True),
    "a cell of 150 photons of background": uneven_background("cell", 150),
    "a cell that bleaches": uneven_background("cell", 150, bleaches=True),
    "200 photons of background in the middle": uneven_background("middle", 200),
    "2 rows of zeros at both ends": border(2),
    "8 rows of zeros at both ends": border(8),
    "frame of 1000 ADU around": border(5, 1000, around=True),
    "mask of zeros around a circle": field_stop(0, noise_adu=None),
    "round field stop": field_stop(0, noise_adu=3),
    "round field stop, 80 photons of background": field_stop(80, noise_adu=3),
    "square field stop, 80 photons of background": field_stop(80, noise_adu=3, square=True),
    "borders of zeros that move": moving_border(),
    "a dead row and a dead column": dead_lines(),
    "20 dead pixels": faulty_pixels("dead"),
    "20 saturated pixels": faulty_pixels("saturated"),
    "20 hot pixels": faulty_pixels("hot"),
    "20 flickering pixels": faulty_pixels("flicker"),
    "a bead of 20,000 photons": bead(20_000),
    "a bead that flickers by 20 %": bead(20_000, flicker=0.2),
    "a bead that drifts by 3 pixels": bead(8_000, drift_px=3),
}
"""Disturbances of one film, by their names in reports."""


def _centred(film: Disturbed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Y and x of pixels, from the centre of the field."""
    height, width = film.shown.shape
    y, x = np.mgrid[:height, :width]
    return y - (height - 1) / 2, x - (width - 1) / 2


def _light(
    rng: np.random.Generator,
    camera: Camera,
    photons: float | NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    """Readings of light, in ADU, with the camera's offset."""
    return camera.expose(rng, np.broadcast_to(photons, shape)).astype(np.float64)


def _added(
    rng: np.random.Generator, camera: Camera, photons: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What light adds to readings, in ADU: its noise is that of the camera."""
    reading = _light(rng, camera, photons, photons.shape)
    return reading - np.median(_light(rng, camera, 0.0, photons.shape))
