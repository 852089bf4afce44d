"""Endless training batches from the simulator, the same for the same seed.

Every film has its own sample, molecules, optics, background and camera, drawn
from wide ranges, and its own levels, computed as for a user's film. A block
has as many films as a batch has frames; its j-th batch holds the j-th frame
of each film, so that every batch spans many conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.conditioning import Conditioning
from smlm_pipeline.compute.levels import Segment, frame_backgrounds, scale_segments
from smlm_pipeline.compute.normalize import normalize
from smlm_training.fitting.disturbances import changing_light, faulty_pixels
from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.bounds import Range
from smlm_training.simulation.bundles import bundled_filaments
from smlm_training.simulation.camera import Camera, Emccd, Scmos
from smlm_training.simulation.simulate import Emitters, Film, Fluorophore, film
from smlm_training.simulation.spot import expected_scale_adu
from smlm_training.simulation.structures import Filaments, Structure, Uniform, wavy_filaments

BORDER_PX = 6.0
"""Reach of the light of molecules outside a patch."""

FILLED_SHARE = 0.85
"""Share of a patch's places for molecules that the fullest samples take on average."""


@dataclass(frozen=True)
class Batch:
    """Input and truth of N frames, for the loss.

    ``normalized`` (N, H, W, 1) is the network's input; ``position_px`` (N, E, 2) holds y and
    x of the molecules in the patch, and ``present`` (N, E) is 1 for places that are taken.
    Molecules outside of the patch shine into it and are not among them.
    """

    normalized: NDArray[np.float32]
    position_px: NDArray[np.float32]
    present: NDArray[np.float32]


def batches(ranges: Ranges, *, seed: int, batch: int, first_block: int = 0) -> Iterator[Batch]:
    """Batches of ``batch`` frames without end, from block ``first_block`` on."""
    block = first_block
    while True:
        yield from block_batches(ranges, seed=seed, batch=batch, block=block)
        block += 1


def block_batches(ranges: Ranges, *, seed: int, batch: int, block: int) -> Iterator[Batch]:
    """The ``frames_per_film`` batches of one block."""
    films = [
        _prepare(np.random.default_rng([seed, block, index]), ranges) for index in range(batch)
    ]
    for frame in range(ranges.frames_per_film):
        yield Batch(
            *(np.stack([part[frame] for part in parts]) for parts in zip(*films, strict=True))
        )


def _prepare(
    rng: np.random.Generator, ranges: Ranges
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Network input, positions and presence of all frames of one film."""
    made, conditioning = random_film(rng, ranges)
    normalized = normalize(*conditioning.apply(made.frames_adu, 0))
    position, present = inside_first(made.emitters, ranges.patch_px, ranges.emitters_max)
    y, x = np.clip(position, 0, ranges.patch_px - 1).astype(int).transpose(2, 0, 1)
    present *= ~conditioning.blank[y, x]  # what is not shown is not to be found
    return normalized.transpose(0, 2, 3, 1), position, present


def inside_first(
    emitters: Emitters, size_px: int, places: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions (N, places, 2) and presence (N, places) of the molecules in a square field."""
    inside = emitters.inside(size_px, size_px)
    order = np.argsort(~inside, axis=1, kind="stable")[:, :places]
    position = np.zeros((len(order), places, 2), np.float32)
    present = np.zeros((len(order), places), np.float32)
    for axis, values in enumerate((emitters.y_px, emitters.x_px)):
        position[:, : order.shape[1], axis] = np.take_along_axis(values, order, axis=1)
    present[:, : order.shape[1]] = np.take_along_axis(inside, order, axis=1)
    return position, present


def random_film(rng: np.random.Generator, ranges: Ranges) -> tuple[Film, Conditioning]:
    """One film under conditions drawn from ``ranges``, and how its frames are prepared.

    The film is a part of a longer one, of which no other part is simulated. From so few small
    frames the scale would have an error of a tenth, five times the client's, so it is the
    expected one, with the client's error. Where there are no molecules it is the client's.
    """
    size_px = ranges.patch_px
    fluorophore = Fluorophore(
        photons=_log_uniform(rng, ranges.photons),
        photons_spread=rng.uniform(*ranges.photons_spread),
        sigma_px=rng.uniform(*ranges.sigma_px),
    )
    structure = _random_structure(rng, ranges)
    camera = _random_camera(rng, ranges)
    made = film(
        rng,
        structure=structure,
        fluorophore=fluorophore,
        camera=camera,
        background_photons=_random_background(rng, ranges) + changing_light(rng, ranges),
        frames=ranges.frames_per_film,
        height_px=size_px,
        width_px=size_px,
    )
    faults = faulty_pixels(rng, ranges)
    shown = made.frames_adu[:, ~faults.any_of]
    backgrounds_adu = frame_backgrounds(shown)
    if structure.expected_count():
        gain = float(np.mean(camera.adu_per_photon))
        error = 1 + ranges.scale_error * rng.standard_normal()
        scale_adu = expected_scale_adu(fluorophore, gain) * error
    else:
        scale_adu = scale_segments(
            made.frames_adu, backgrounds_adu, ~faults.any_of, np.ones(len(shown), bool)
        )[0].scale_adu
    above_adu = max(float(np.quantile(shown - backgrounds_adu[:, None], 0.25)), 0.0)
    segment = Segment(0, ranges.frames_per_film, scale_adu)
    return made, Conditioning(faults, above_adu, (segment,))


def _log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _random_structure(rng: np.random.Generator, ranges: Ranges) -> Structure:
    """Filaments or a uniform sample, thinned to the number of places of a patch."""
    size_px = ranges.patch_px
    kind = rng.random()
    if kind < ranges.empty_share:
        return Uniform(size_px, size_px, 0.0, BORDER_PX)
    most = FILLED_SHARE * ranges.emitters_max
    if kind > 1 - ranges.filament_share:
        filaments = _random_filaments(rng, ranges)
        length_px = filaments.length_within_px(size_px, size_px)
        if filaments.density_per_px * length_px <= most:
            return filaments
        return replace(filaments, density_per_px=most / length_px)
    density_per_px2 = _log_uniform(rng, ranges.density_per_um2) / 100
    return Uniform(size_px, size_px, min(density_per_px2, most / size_px**2), BORDER_PX)


def _random_filaments(rng: np.random.Generator, ranges: Ranges) -> Filaments:
    """Filaments evenly spread, or in bundles several spacings apart."""
    size_px = ranges.patch_px
    nearest_px = 10 * _log_uniform(rng, ranges.filament_spacing_um)
    density_per_px = _log_uniform(rng, ranges.density_per_um) / 10
    widest_px = nearest_px * rng.uniform(1.2, 2.5)
    crossing_share = rng.choice([0.0, 0.1, 0.3, 1.0])
    radius_px = rng.uniform(0.0, 0.2)
    if rng.random() >= ranges.bundle_share:
        return wavy_filaments(
            rng,
            height_px=size_px,
            width_px=size_px,
            spacing_px=(nearest_px, widest_px),
            crossing_share=crossing_share,
            density_per_px=density_per_px,
            radius_px=radius_px,
            border_px=BORDER_PX,
            turn_rad=_log_uniform(rng, ranges.filament_turn_rad),
            sway=_log_uniform(rng, ranges.filament_sway),
        )
    gap_px = min(widest_px * rng.uniform(1.2, 3.0), size_px / 3)  # more leaves patches empty
    return bundled_filaments(
        rng,
        height_px=size_px,
        width_px=size_px,
        spacing_px=(nearest_px, widest_px),
        lines_per_bundle=(2, 4),
        gap_px=(gap_px, 2 * gap_px),
        crossing_share=crossing_share,
        density_per_px=density_per_px,
        radius_px=radius_px,
        border_px=BORDER_PX,
    )


def _random_background(rng: np.random.Generator, ranges: Ranges) -> NDArray[np.float64]:
    """Flat in half of the films, a smooth slope with a bump in the others."""
    size_px = ranges.patch_px
    level = _log_uniform(rng, ranges.background_photons)
    flat = np.full((size_px, size_px), level)
    if rng.random() < 0.5:
        return flat
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    slope = rng.uniform(-0.4, 0.4) * y + rng.uniform(-0.4, 0.4) * x
    distance2 = (y - rng.uniform(-0.5, 0.5)) ** 2 + (x - rng.uniform(-0.5, 0.5)) ** 2
    bump = rng.uniform(0, 0.6) * np.exp(-distance2 / (2 * rng.uniform(0.2, 0.5) ** 2))
    shaded: NDArray[np.float64] = flat * (1 + slope + bump)
    return shaded


def _random_camera(rng: np.random.Generator, ranges: Ranges) -> Camera:
    """An EMCCD or an sCMOS, half of the latter with pixels that differ."""
    offset_adu = rng.uniform(*ranges.offset_adu)
    if rng.random() < ranges.emccd_share:
        gain = _log_uniform(rng, ranges.emccd_adu_per_photon)
        return Emccd(gain, offset_adu, rng.uniform(*ranges.emccd_read_noise_adu))
    gain = _log_uniform(rng, ranges.scmos_adu_per_photon)
    read_noise_adu = gain * rng.uniform(*ranges.scmos_read_noise_photons)
    if rng.random() < 0.5:
        return Scmos(gain, offset_adu, read_noise_adu)
    shape = (ranges.patch_px, ranges.patch_px)
    return Scmos(
        gain * rng.normal(1, 0.02, shape),
        offset_adu + rng.normal(0, 1, shape),
        read_noise_adu * rng.gamma(8, 1 / 8, shape),
    )
