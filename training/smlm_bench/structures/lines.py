"""Structures of lines. Each builder takes one length in micrometres that rules the shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import scipy

from smlm_bench.structures.shape import BORDER_PX, FIELD_PX, PX_PER_UM, Lines, Points

RADIUS_PX = 0.1
"""Standard deviation of a molecule's distance from a line's axis along y and x: 10 nm."""

GAP_UM = 0.5
"""Mean distance of lines that fill the field, where the builder's length is another one."""

_REACH_PX = FIELD_PX * 0.75 + BORDER_PX
"""From the middle of the field to beyond its corners."""

_MIDDLE_PX = FIELD_PX / 2


def straight(rng: np.random.Generator, gap_um: float) -> Lines:
    """Straight lines in one direction, ``gap_um`` apart on average."""
    angle = rng.uniform(0, np.pi)
    along = np.arange(-_REACH_PX, _REACH_PX, Lines.STEP_PX)
    return _lines(_turned(along, np.full_like(along, at), angle) for at in _gaps(rng, gap_um))


def waves(rng: np.random.Generator, wavelength_um: float) -> Lines:
    """Lines that swing by a sixth of their wavelength to both sides, each at its own phase."""
    wave_px = wavelength_um * PX_PER_UM
    angle = rng.uniform(0, np.pi)
    along = np.arange(-_REACH_PX, _REACH_PX, Lines.STEP_PX / 2)
    return _lines(
        _turned(
            along,
            at + wave_px / 6 * np.sin(2 * np.pi * along / wave_px + rng.uniform(0, 2 * np.pi)),
            angle,
        )
        for at in _gaps(rng, GAP_UM)
    )


def worms(rng: np.random.Generator, persistence_um: float) -> Lines:
    """Worm-like chains: the direction diffuses, in the plane by ds / persistence."""
    steps = round(8 * PX_PER_UM / Lines.STEP_PX)
    turn = np.sqrt(Lines.STEP_PX / (persistence_um * PX_PER_UM))
    wanted_px = (FIELD_PX + 2 * BORDER_PX) ** 2 / (GAP_UM * PX_PER_UM)
    paths: list[Points] = []
    while not paths or Lines(tuple(paths), RADIUS_PX).length_px < wanted_px:
        start = rng.uniform(-BORDER_PX, FIELD_PX + BORDER_PX, 2)
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, steps))
        step = Lines.STEP_PX * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        paths.append(start + np.cumsum(step, axis=0))
    return Lines(tuple(paths), RADIUS_PX)


def spiral(rng: np.random.Generator, turn_um: float) -> Lines:
    """An Archimedean spiral whose turns are ``turn_um`` apart."""
    turn_px = turn_um * PX_PER_UM
    angle = np.linspace(0, 2 * np.pi * _REACH_PX / turn_px, 200_000)
    radius_px = turn_px * angle / (2 * np.pi)
    centre = _MIDDLE_PX + rng.uniform(-3, 3, 2)
    return _lines([centre + radius_px[:, None] * _unit(angle + rng.uniform(0, 2 * np.pi))])


def mesh(rng: np.random.Generator, cell_um: float) -> Lines:
    """Two sets of straight lines that cross at 50 to 90 degrees."""
    angle = rng.uniform(0, np.pi)
    along = np.arange(-_REACH_PX, _REACH_PX, Lines.STEP_PX)
    both = (angle, angle + np.radians(rng.uniform(50, 90)))
    return _lines(
        _turned(along, np.full_like(along, at), each) for each in both for at in _gaps(rng, cell_um)
    )


def voronoi(rng: np.random.Generator, cell_um: float) -> Lines:
    """Edges of the Voronoi cells of random points, one point in ``cell_um`` squared."""
    edge_px = 2 * _REACH_PX
    count = rng.poisson((edge_px / (cell_um * PX_PER_UM)) ** 2)
    cells = scipy.spatial.Voronoi(_MIDDLE_PX + rng.uniform(-edge_px / 2, edge_px / 2, (count, 2)))
    near = np.all(np.abs(cells.vertices - _MIDDLE_PX) <= _REACH_PX, axis=1)
    edges = np.array([ends for ends in cells.ridge_vertices if min(ends) >= 0])
    return _lines(cells.vertices[edges[near[edges].all(axis=1)]])


def rings(rng: np.random.Generator, diameter_um: float) -> Lines:
    """A lattice of rings, 2.2 diameters apart."""
    return _lattice(rng, diameter_um, 2.2 * diameter_um)


def dots(rng: np.random.Generator, period_um: float) -> Lines:
    """A lattice of dots of 30 nm, ``period_um`` apart."""
    return _lattice(rng, 0.03, period_um)


def letters(rng: np.random.Generator, height_um: float) -> Lines:
    """Rows of random letters of straight strokes."""
    height_px = height_um * PX_PER_UM
    names = sorted(_STROKES)
    strokes = []
    for top in np.arange(-BORDER_PX, FIELD_PX, 1.4 * height_px):
        for left in np.arange(-BORDER_PX, FIELD_PX, height_px):
            letter = _STROKES[names[rng.integers(len(names))]]
            corner = np.array([top, left])
            strokes += [corner + height_px * np.array(stroke) for stroke in letter]
    return _lines(strokes)


_STROKES: dict[str, Sequence[Sequence[tuple[float, float]]]] = {
    "A": [[(1, 0), (0, 0.35), (1, 0.7)], [(0.6, 0.14), (0.6, 0.56)]],
    "E": [[(0, 0.6), (0, 0), (1, 0), (1, 0.6)], [(0.5, 0), (0.5, 0.45)]],
    "H": [[(0, 0), (1, 0)], [(0, 0.6), (1, 0.6)], [(0.5, 0), (0.5, 0.6)]],
    "K": [[(0, 0), (1, 0)], [(0, 0.6), (0.5, 0), (1, 0.6)]],
    "M": [[(1, 0), (0, 0), (0.6, 0.35), (0, 0.7), (1, 0.7)]],
    "N": [[(1, 0), (0, 0), (1, 0.6), (0, 0.6)]],
    "T": [[(0, 0), (0, 0.7)], [(0, 0.35), (1, 0.35)]],
    "W": [[(0, 0), (1, 0.18), (0.4, 0.35), (1, 0.52), (0, 0.7)]],
    "Z": [[(0, 0), (0, 0.6), (1, 0), (1, 0.6)]],
}
"""Corners (y, x) of each letter's strokes, in heights of the letter."""


def _lattice(rng: np.random.Generator, diameter_um: float, period_um: float) -> Lines:
    """Circles on a square lattice that is turned and shifted at random."""
    period_px, radius_px = period_um * PX_PER_UM, diameter_um * PX_PER_UM / 2
    place = np.arange(-_REACH_PX, _REACH_PX, period_px)
    angle = rng.uniform(0, np.pi / 2)
    shift = rng.uniform(0, period_px, 2)
    along, across = np.meshgrid(place, place)
    centres = _turned(along.ravel(), across.ravel(), angle) + shift
    circle = radius_px * _unit(np.linspace(0, 2 * np.pi, 64))
    return _lines(centre + circle for centre in centres)


def _gaps(rng: np.random.Generator, gap_um: float) -> Points:
    """Places of lines across the field; the gaps vary by a quarter of their mean."""
    count = int(2 * _REACH_PX / (gap_um * PX_PER_UM)) + 1
    gaps_px = gap_um * PX_PER_UM * (1 + 0.25 * rng.uniform(-1, 1, count))
    places: Points = np.cumsum(gaps_px) - _REACH_PX
    return places


def _turned(along: Points, across: Points, angle: float) -> Points:
    """Points (K, 2) of a line about the middle of the field, turned by an angle."""
    sine, cosine = np.sin(angle), np.cos(angle)
    y_px, x_px = along * sine + across * cosine, along * cosine - across * sine
    points: Points = _MIDDLE_PX + np.stack([y_px, x_px], axis=1)
    return points


def _unit(angle: Points) -> Points:
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _lines(corners: Iterable[Points]) -> Lines:
    """Lines through corners (K, 2), with points evenly ``STEP_PX`` apart."""
    return Lines(tuple(_even(path) for path in corners), RADIUS_PX)


def _even(corners: Points) -> Points:
    upto = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    count = max(round(upto[-1] / Lines.STEP_PX), 1) + 1
    at = np.linspace(0, upto[-1], count)
    return np.stack([np.interp(at, upto, axis) for axis in corners.T], axis=1)
