"""Endless training batches from the simulator, the same for the same seed.

Every film has its own sample, molecules, optics, background and camera, drawn
from wide ranges, and its own levels, computed as for a user's film. A block
has as many films as a batch has frames; its j-th batch holds the j-th frame
of each film, so that every batch spans many conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.levels import Segment, frame_backgrounds, scale_segments
from smlm_pipeline.compute.normalize import normalize
from smlm_training.fitting.conditions import (
    random_background,
    random_camera,
    random_fluorophore,
)
from smlm_training.fitting.disturbances import changing_light, faulty_pixels
from smlm_training.fitting.ranges import Ranges
from smlm_training.fitting.structures import random_structure
from smlm_training.simulation.profiles import tabulated_profile
from smlm_training.simulation.simulate import Emitters, Film, expected_photons, shine
from smlm_training.simulation.spot import nominal_scale_adu

BORDER_PX, BORDER_SIGMAS = 6.0, 3.0
"""Reach of the light of molecules outside a patch, in pixels and in sigma of wide spots."""


@dataclass(frozen=True)
class Batch:
    """Input and truth of N frames, for the loss.

    ``normalized`` (N, H, W, 1) is the network's input; ``position_px`` (N, E, 2) holds y and
    x of the molecules in the patch, and ``present`` (N, E) is 1 for places that are taken.
    ``intensity`` (N, E) is the light of a molecule in the frame, in the unit of ``normalized``:
    summed over all pixels, the spot of a present molecule has this value; 0 at free places,
    NaN where it is not known.
    Molecules outside of the patch shine into it and are not among them.
    """

    normalized: NDArray[np.float32]
    position_px: NDArray[np.float32]
    present: NDArray[np.float32]
    intensity: NDArray[np.float32]

    @property
    def parts(self) -> tuple[NDArray[np.float32], ...]:
        """The arrays in the order of the fields."""
        return self.normalized, self.position_px, self.present, self.intensity

    def of(self, frames: slice | NDArray[np.intp]) -> Batch:
        """Some of the frames."""
        return Batch(*(part[frames] for part in self.parts))


@dataclass(frozen=True)
class TrainingFilm:
    """A film, how its frames are prepared, and what is true about it.

    ``adu_per_photon`` is the mean gain; molecules with fewer than ``faintest_photons`` in a frame
    are not to be found in it.
    """

    film: Film
    conditioning: Conditioning
    adu_per_photon: float
    faintest_photons: float

    def parts(self, size_px: int, places: int) -> tuple[NDArray[np.float32], ...]:
        """The parts of ``Batch``, of all frames."""
        shown_adu, levels_adu = self.conditioning.apply(self.film.frames_adu, 0)
        position_px, photons = inside_first(
            self.film.emitters, size_px, places, self.faintest_photons
        )
        y, x = np.clip(position_px, 0, size_px - 1).astype(int).transpose(2, 0, 1)
        photons *= ~self.conditioning.blank[y, x]  # what is not shown is not to be found
        present = (photons > 0).astype(np.float32)
        intensity = photons * (self.adu_per_photon / levels_adu[:, 1:])
        normalized = normalize(shown_adu, levels_adu).transpose(0, 2, 3, 1)
        return normalized, position_px, present, intensity.astype(np.float32)


def batches(ranges: Ranges, *, seed: int, batch: int, first_block: int = 0) -> Iterator[Batch]:
    """Batches of ``batch`` frames without end, from block ``first_block`` on."""
    block = first_block
    while True:
        yield from block_batches(ranges, seed=seed, batch=batch, block=block)
        block += 1


def block_batches(ranges: Ranges, *, seed: int, batch: int, block: int) -> Iterator[Batch]:
    """The ``frames_per_film`` batches of one block."""
    films = [
        random_film(np.random.default_rng([seed, block, index]), ranges).parts(
            ranges.patch_px, ranges.emitters_max
        )
        for index in range(batch)
    ]
    for frame in range(ranges.frames_per_film):
        yield Batch(
            *(np.stack([part[frame] for part in parts]) for parts in zip(*films, strict=True))
        )


def inside_first(
    emitters: Emitters, size_px: int, places: int, faintest_photons: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions (N, places, 2) and photons (N, places) of the molecules in a square field.

    Free places have no photons, like the places of molecules below ``faintest_photons``.
    """
    inside = emitters.inside(size_px, size_px) & (emitters.photons >= faintest_photons)
    order = np.argsort(~inside, axis=1, kind="stable")[:, :places]
    position_px = np.zeros((len(order), places, 2), np.float32)
    photons = np.zeros((len(order), places), np.float32)
    for axis, values in enumerate((emitters.y_px, emitters.x_px)):
        position_px[:, : order.shape[1], axis] = np.take_along_axis(values, order, axis=1)
    shown = np.where(inside, emitters.photons, 0)
    photons[:, : order.shape[1]] = np.take_along_axis(shown, order, axis=1)
    return position_px, photons


def random_film(rng: np.random.Generator, ranges: Ranges) -> TrainingFilm:
    """One film under conditions drawn from ``ranges``, and how its frames are prepared.

    The film is a part of a longer one, of which no other part is simulated. From so few small
    frames the scale would have an error of a tenth, five times the client's, so it is the
    expected one, with the client's error. Where there are no molecules it is the client's.
    """
    size_px = ranges.patch_px
    fluorophore = random_fluorophore(rng, ranges)
    border_px = max(BORDER_PX, BORDER_SIGMAS * fluorophore.sigma_px)
    structure = random_structure(rng, ranges, border_px)
    emitters = shine(rng, structure, fluorophore, ranges.frames_per_film)
    photons = expected_photons(
        emitters, size_px, size_px, shape=fluorophore.shape, profile=tabulated_profile
    )
    photons += random_background(rng, ranges, fluorophore) + changing_light(rng, ranges)
    camera = random_camera(rng, ranges, float(photons.max()))
    frames_adu = camera.expose(rng, photons)
    faults = faulty_pixels(rng, ranges)
    shown = frames_adu[:, ~faults.any_of]
    backgrounds_adu = frame_backgrounds(shown)
    gain = float(np.mean(camera.adu_per_photon))
    if structure.expected_count():
        scale_adu = nominal_scale_adu(fluorophore, gain) * _scale_error(rng, ranges)
    else:
        scale_adu = scale_segments(
            frames_adu, backgrounds_adu, ~faults.any_of, np.ones(len(shown), bool)
        )[0].scale_adu
    above_adu = max(float(np.quantile(shown - backgrounds_adu[:, None], 0.25)), 0.0)
    segment = Segment(0, ranges.frames_per_film, scale_adu)
    return TrainingFilm(
        Film(frames_adu, emitters),
        Conditioning(faults, above_adu, (segment,)),
        gain,
        ranges.faintest * fluorophore.photons,
    )


def _scale_error(rng: np.random.Generator, ranges: Ranges) -> float:
    """The client's scale over the expected one."""
    error = max(1 + ranges.scale_error * rng.standard_normal(), 0.1)
    if rng.random() < ranges.misjudged_share:
        error *= np.exp(rng.uniform(*np.log(ranges.misjudged_scale)))
    return float(error)
