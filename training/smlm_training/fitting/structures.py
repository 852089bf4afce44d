"""Draw the structure of a training film, of one kind or of two, and thin it to a patch's places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smlm_training.fitting.conditions import log_uniform
from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.bundles import bundled_filaments
from smlm_training.simulation.curves import rings_and_arcs, waves, worm_like_chains
from smlm_training.simulation.groups import Spots
from smlm_training.simulation.mixtures import Mixture, Thinned
from smlm_training.simulation.regions import Region, gradients, patches
from smlm_training.simulation.structures import Filaments, Structure, Uniform, wavy_filaments

FILLED_SHARE = 0.85
"""Share of a patch's places for molecules that the fullest samples take on average."""

_TRIED = 500
"""Positions from which the share of the molecules in the patch is estimated."""


def random_structure(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Structure:
    """A structure with at most as many molecules as a patch has places for."""
    if rng.random() < ranges.empty_share:
        return Uniform(ranges.patch_px, ranges.patch_px, 0.0, border_px)
    structure = _of_one_kind(rng, ranges, border_px)
    if rng.random() < ranges.mixture_share:
        structure = Mixture(structure, _of_one_kind(rng, ranges, border_px))
    y_px, x_px = structure.sample(rng, _TRIED)
    inside = np.mean((np.abs(np.stack([y_px, x_px]) / ranges.patch_px - 0.5) < 0.5).all(axis=0))
    most = FILLED_SHARE * ranges.emitters_max
    expected = float(inside) * structure.expected_count()
    return Thinned(structure, most / expected) if expected > most else structure


def _of_one_kind(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Structure:
    shares = ranges.structure_shares
    weights = np.array(list(shares.values()))
    kind = rng.choice(list(shares), p=weights / weights.sum())
    return _DRAWN[str(kind)](rng, ranges, border_px)


def _filaments(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Filaments:
    """Filaments evenly spread, or in bundles several spacings apart."""
    size_px = ranges.patch_px
    nearest_px = 10 * log_uniform(rng, ranges.filament_spacing_um)
    density_per_px = log_uniform(rng, ranges.density_per_um) / 10
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
            border_px=border_px,
            turn_rad=log_uniform(rng, ranges.filament_turn_rad),
            sway=log_uniform(rng, ranges.filament_sway),
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
        border_px=border_px,
    )


def _waves(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Filaments:
    nearest_px = 10 * log_uniform(rng, ranges.filament_spacing_um)
    return waves(
        rng,
        spacing_px=(nearest_px, nearest_px * rng.uniform(1.2, 2.5)),
        wavelength_px=10 * log_uniform(rng, ranges.wavelength_um),
        amplitude=log_uniform(rng, ranges.wave_amplitude),
        turn_rad=log_uniform(rng, ranges.filament_turn_rad),
        **_line(rng, ranges, border_px),
    )


def _worms(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Filaments:
    """Chains as densely as lines at the filaments' spacing."""
    spacing_px = 10 * log_uniform(rng, ranges.filament_spacing_um)
    length_px = log_uniform(rng, (20.0, 120.0))
    area_px2 = (ranges.patch_px + 2 * border_px) ** 2
    return worm_like_chains(
        rng,
        chains=max(round(area_px2 / spacing_px / length_px), 1),
        length_px=length_px,
        persistence_px=10 * log_uniform(rng, ranges.persistence_um),
        **_line(rng, ranges, border_px),
    )


def _rings(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Filaments:
    """Rings of similar or different radii, as densely as lines at the filaments' spacing."""
    spacing_px = 10 * log_uniform(rng, ranges.filament_spacing_um)
    smallest_px = 10 * log_uniform(rng, ranges.ring_radius_um)
    largest_px = smallest_px * rng.choice([1.0, 1.5, 3.0])
    around_px = 2 * np.pi * np.sqrt(smallest_px * largest_px)
    edge_px = ranges.patch_px + 2 * border_px
    count = max(round(edge_px**2 / spacing_px / around_px), 1)
    return rings_and_arcs(
        rng,
        centres_px=rng.uniform(-border_px, ranges.patch_px + border_px, (count, 2)),
        ring_radius_px=(smallest_px, largest_px),
        closed_share=rng.choice([0.0, 0.5, 1.0]),
        **_line(rng, ranges, border_px),
    )


def _line(rng: np.random.Generator, ranges: Ranges, border_px: float) -> dict[str, Any]:
    """Settings of bent lines of every kind."""
    return {
        "height_px": ranges.patch_px,
        "width_px": ranges.patch_px,
        "density_per_px": log_uniform(rng, ranges.density_per_um) / 10,
        "radius_px": rng.uniform(0.0, 0.2),
        "border_px": border_px,
    }


def _clusters(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Spots:
    edge_px = ranges.patch_px + 2 * border_px
    count = rng.poisson(log_uniform(rng, ranges.clusters_per_um2) / 100 * edge_px**2)
    centres_px = rng.uniform(-border_px, ranges.patch_px + border_px, (max(int(count), 1), 2))
    return Spots(
        centres_px,
        sigma_px=10 * log_uniform(rng, ranges.cluster_sigma_um),
        molecules_per_spot=log_uniform(rng, ranges.cluster_molecules),
    )


def _patches(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Region:
    """Patches beside ground that is empty or nearly so, or gradients."""
    common: dict[str, Any] = {
        "height_px": ranges.patch_px,
        "width_px": ranges.patch_px,
        "size_px": 10 * log_uniform(rng, ranges.patch_size_um),
        "density_per_px2": log_uniform(rng, ranges.density_per_um2) / 100,
        "border_px": border_px,
    }
    if rng.random() < 0.3:
        return gradients(rng, contrast=rng.uniform(1.0, 5.0), **common)
    return patches(
        rng,
        covered_share=rng.uniform(0.1, 0.7),
        ground=rng.choice([0.0, 0.0, 0.03, 0.2]),
        **common,
    )


def _uniform(rng: np.random.Generator, ranges: Ranges, border_px: float) -> Uniform:
    density_per_px2 = log_uniform(rng, ranges.density_per_um2) / 100
    return Uniform(ranges.patch_px, ranges.patch_px, density_per_px2, border_px)


_DRAWN: dict[str, Callable[[np.random.Generator, Ranges, float], Structure]] = {
    "filament": _filaments,
    "wave": _waves,
    "worm": _worms,
    "ring": _rings,
    "cluster": _clusters,
    "patch": _patches,
    "uniform": _uniform,
}
