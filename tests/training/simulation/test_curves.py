"""Bent lines have the wavelength, the stiffness and the radius that they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_training.simulation.curves import rings_and_arcs, waves, worm_like_chains
from smlm_training.simulation.structures import Filaments

FIELD = {"height_px": 60, "width_px": 60, "border_px": 6.0}
LINE = {"density_per_px": 0.5, "radius_px": 0.0}


@pytest.mark.parametrize("wavelength_px", [3.0, 12.0, 90.0])
def test_waves_deviate_by_their_amplitude(wavelength_px: float) -> None:
    """One line through a wide field, turned back by its main axis."""
    deviations = []
    for seed in range(12):
        line = waves(
            np.random.default_rng(seed),
            height_px=600,
            width_px=600,
            border_px=400.0,
            spacing_px=(1900.0, 2000.0),
            wavelength_px=wavelength_px,
            amplitude=0.1,
            turn_rad=0.1,
            **LINE,
        )
        centred = line.points_px - line.points_px.mean(axis=0)
        deviations.append(np.linalg.svd(centred, full_matrices=False)[1][1] / len(centred) ** 0.5)
    assert np.mean(deviations) == pytest.approx(0.1 * wavelength_px, rel=0.1)


def test_waves_fill_the_field_at_their_spacing() -> None:
    lines = [
        waves(
            np.random.default_rng(seed),
            spacing_px=(4.0, 6.0),
            wavelength_px=80.0,
            amplitude=0.005,
            turn_rad=0.01,
            **FIELD,
            **LINE,
        ).length_within_px(60, 60)
        for seed in range(10)
    ]
    assert np.mean(lines) == pytest.approx(60 * 60 / 5, rel=0.1)


def _chain(rng: np.random.Generator, persistence_px: float) -> Filaments:
    return worm_like_chains(
        rng,
        height_px=400,
        width_px=400,
        border_px=200.0,
        chains=1,
        length_px=80.0,
        persistence_px=persistence_px,
        **LINE,
    )


@pytest.mark.parametrize("persistence_px", [4.0, 40.0])
def test_directions_of_a_chain_decay_with_its_persistence_length(persistence_px: float) -> None:
    lag, cosines = round(persistence_px / 0.2), []
    rng = np.random.default_rng(3)
    for _ in range(150):
        step = np.diff(_chain(rng, persistence_px).points_px, axis=0) / 0.2
        if np.allclose(np.linalg.norm(step, axis=1), 1):  # whole: the border does not cut it
            cosines.append(np.mean(np.sum(step[lag:] * step[:-lag], axis=1)))
    assert len(cosines) > 100
    assert np.mean(cosines) == pytest.approx(np.exp(-0.5), abs=0.06)


def test_chains_begin_anywhere_and_stay_in_the_border() -> None:
    chains = worm_like_chains(
        np.random.default_rng(1), chains=80, length_px=40.0, persistence_px=20.0, **FIELD, **LINE
    )
    points = chains.points_px
    assert points.min() > -6
    assert points.max() < 66
    assert chains.weights_px.sum() == pytest.approx(80 * 40, rel=0.25)
    counts = np.histogram2d(*points.T, bins=3, range=[[-6, 66]] * 2)[0]
    assert counts.min() > counts.max() / 4


@pytest.mark.parametrize(("closed_share", "turns"), [(1.0, 1.0), (0.0, 0.525)])
def test_rings_keep_their_radius_and_arcs_are_parts_of_them(
    closed_share: float, turns: float
) -> None:
    centres_px = np.stack(np.meshgrid(*[np.arange(10.0, 400.0, 20.0)] * 2), axis=2).reshape(-1, 2)
    rings = rings_and_arcs(
        np.random.default_rng(2),
        height_px=400,
        width_px=400,
        border_px=6.0,
        centres_px=centres_px,
        ring_radius_px=(4.0, 4.0),
        closed_share=closed_share,
        **LINE,
    )
    away = rings.points_px % 20 - 10
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 4)
    whole_px = 2 * np.pi * 4 * len(centres_px)
    assert rings.weights_px.sum() == pytest.approx(turns * whole_px, rel=0.06)
