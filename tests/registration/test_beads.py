"""The map of beads is that of the optics, to nm; beads that are not the same are refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smlm_bench.channels.films import PIXEL_NM, Geometry, bead_film
from smlm_pipeline.errors import FilmError
from smlm_pipeline.registration.beads import bead_map, bead_places_px

EDGE_PX = 64


def _channels(geometry: Geometry, **film: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = bead_film("left,right", geometry, edge_px=EDGE_PX, **film).mean(axis=0)
    return mean[:, :EDGE_PX], mean[:, EDGE_PX:]


def _missed_nm(geometry: Geometry, **film: int) -> tuple[float, float]:
    """Largest distance to the true map over the field, and the stated error."""
    found = bead_map(*_channels(geometry, **film), PIXEL_NM)
    places = np.linspace(0, EDGE_PX * PIXEL_NM, 9)
    grid = np.stack(np.meshgrid(places, places)).reshape(2, -1)
    apart = found.fit.affine.at(grid) - geometry.affine(EDGE_PX, EDGE_PX).at(grid)
    return float(np.hypot(*apart).max()), found.fit.error_nm


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((0.0, 0.0)),
        Geometry((2.3, -3.6)),
        Geometry((-9.7, 6.2), 0.5),
        Geometry((2.3, -3.6), -2.0, 1.02),
    ],
)
def test_map_of_beads(geometry: Geometry, seed: int) -> None:
    missed_nm, stated_nm = _missed_nm(geometry, seed=seed)
    assert missed_nm < 6
    assert stated_nm < 4


@pytest.mark.parametrize("seed", range(4))
def test_unlike_beads_are_refused(seed: int) -> None:
    one = _channels(Geometry((0.0, 0.0)), seed=seed)[0]
    two = _channels(Geometry((0.0, 0.0)), seed=seed + 100)[1]
    with pytest.raises(FilmError, match=r"in the second one, .*; expected"):
        bead_map(one, two, PIXEL_NM)


def test_few_beads_are_refused() -> None:
    with pytest.raises(FilmError, match="expected at least 6 beads that are seen in both"):
        bead_map(*_channels(Geometry((1.0, 1.0)), beads=4), PIXEL_NM)


def test_noise_is_no_bead() -> None:
    noise = np.random.default_rng(1).poisson(100, (64, 64)).astype(np.float64)
    assert bead_places_px(noise).shape == (2, 0)
    with pytest.raises(FilmError, match="has 0 beads in the first channel and 0 in the second"):
        bead_map(noise, noise, PIXEL_NM)
