"""Images of molecules on simple structures, in two colours, with a known displacement."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.registration.affine import Affine

FIELD_NM, SR_NM = 6000.0, 12.5
_PRECISION_NM = 15.0


def _curves(rng: np.random.Generator) -> NDArray[np.float64]:
    paths = []
    for _ in range(12):
        angle = rng.uniform(0, np.pi) + np.cumsum(rng.normal(0, 0.02, 700))
        step = 12 * np.stack([np.sin(angle), np.cos(angle)])
        paths.append(rng.uniform(0, FIELD_NM, (2, 1)) + np.cumsum(step, axis=1))
    return np.concatenate(paths, axis=1)


def _parallel_lines(rng: np.random.Generator) -> NDArray[np.float64]:
    x = rng.uniform(0, FIELD_NM, 10)
    return np.stack([np.tile(np.linspace(0, FIELD_NM, 500), 10), np.repeat(x, 500)])


def _lattice(_rng: np.random.Generator) -> NDArray[np.float64]:
    places = np.meshgrid(np.arange(60), np.arange(60))
    return np.asarray(np.stack(places).reshape(2, -1) * 100.0 + 50)


STRUCTURES: Mapping[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "curves": _curves,
    "dots": lambda rng: rng.uniform(300, FIELD_NM - 300, (2, 40)),
    "parallel lines": _parallel_lines,
    "lattice": _lattice,
    "nothing": lambda rng: rng.uniform(0, FIELD_NM, (2, 100_000)),
}


def labelled(
    points_nm: NDArray[np.float64], rng: np.random.Generator, affine: Affine, molecules: int = 4000
) -> NDArray[np.float32]:
    """The image (480, 480) of so many molecules on these points, as a channel shows them."""
    chosen = points_nm[:, rng.integers(points_nm.shape[1], size=molecules)]
    places = affine.at(chosen + rng.normal(0, _PRECISION_NM, chosen.shape))
    edge = round(FIELD_NM / SR_NM)
    row, column = np.floor(places / SR_NM).astype(int)
    inside = (row >= 0) & (row < edge) & (column >= 0) & (column < edge)
    image = np.zeros((edge, edge), np.float32)
    np.add.at(image, (row[inside], column[inside]), 1)
    return image
