"""FALCON's grid and patches against what they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from smlm_bench.baselines.falcon.deconvolution import Grid
from smlm_bench.baselines.falcon.patches import Nodes, Patches, moved_to_nearest
from smlm_bench.baselines.falcon.refinement import position_px
from smlm_bench.baselines.imaging import wavelet_background

SIGMA_PX = 1.15


@pytest.mark.parametrize("zoom", [2, 3, 5])
@pytest.mark.parametrize("shape_px", [(9, 12), (10, 7)])
def test_grid_draws_a_gaussian_where_positions_say(zoom: int, shape_px: tuple[int, int]) -> None:
    grid = Grid(shape_px, zoom, SIGMA_PX)
    nodes = np.zeros((1, *grid.shape), np.float32)
    row, column = 4 * zoom + 1, 3 * zoom
    nodes[0, row, column] = 1000
    y_px, x_px = (position_px(np.array([float(node)]), zoom)[0] for node in (row, column))
    pixel_y, pixel_x = (np.arange(size) + 0.5 for size in shape_px)
    gaussian = np.exp(-((pixel_y[:, None] - y_px) ** 2 + (pixel_x - x_px) ** 2) / 2 / SIGMA_PX**2)
    gaussian *= 1000 / (2 * np.pi * SIGMA_PX**2)
    np.testing.assert_allclose(grid.image(nodes)[0], gaussian, atol=1.5)  # it wraps around


@pytest.mark.parametrize("zoom", [2, 3])
def test_projection_is_the_transpose_of_the_image(zoom: int) -> None:
    rng = np.random.default_rng(1)
    grid = Grid((8, 11), zoom, SIGMA_PX)
    nodes = rng.random((2, *grid.shape)).astype(np.float32)
    frames = rng.random((2, 8, 11)).astype(np.float32)
    back = np.fft.irfft2(grid.projected(frames), grid.shape)
    assert np.sum(grid.image(nodes) * frames) == pytest.approx(np.sum(nodes * back), rel=1e-5)


def _nodes(**changes: list[float]) -> Nodes:
    dy, dx, dz = (np.array(changes.get(name, [0.0, 0.0])) for name in ("dy", "dx", "dz"))
    frame, row, column = np.array([0, 1]), np.array([13, 20]), np.array([15, 12])
    return Nodes(frame, row, column, dy, dx, dz, np.array([800.0, 500.0]))


def test_expansion_agrees_with_a_molecule_at_the_next_node_half_way() -> None:
    """To first order: shifted by 0.4 nodes, and 5 % wider."""
    shape, zoom = (2, 12, 11), 3
    patches = Patches(_nodes(), shape, zoom=zoom, sigma_px=SIGMA_PX)
    moved = _nodes(dy=[0.4, 0.0], dx=[-0.3, 0.0], dz=[0.0, 0.05])
    image = patches.added(moved.photons[:, None, None] * patches.spots(moved))
    pixel_y, pixel_x = np.arange(12) + 0.5, np.arange(11) + 0.5
    for frame, (row, column, sigma_px) in enumerate(
        [(13.4, 14.7, SIGMA_PX), (20.0, 12.0, SIGMA_PX * 1.05)]
    ):
        y_px, x_px = (position_px(np.array([node]), zoom)[0] for node in (row, column))
        squared = (pixel_y[:, None] - y_px) ** 2 + (pixel_x - x_px) ** 2
        exact = (
            moved.photons[frame] * np.exp(-squared / 2 / sigma_px**2) / (2 * np.pi * sigma_px**2)
        )
        np.testing.assert_allclose(image[frame], exact, atol=0.02 * exact.max())


def test_molecules_move_to_the_next_node_and_merge_there() -> None:
    two = _nodes(dy=[1.0, 0.0], dx=[0.2, 0.0])
    two = replace(two, frame=np.array([0, 0]), row=np.array([13, 14]), column=np.array([15, 15]))
    merged = moved_to_nearest(two)
    assert merged.row.tolist() == [14]
    assert merged.photons.tolist() == [1300.0]
    assert merged.dx.tolist() == [0.1]


def test_background_is_smooth_light_without_the_molecules() -> None:
    rng = np.random.default_rng(2)
    slope = np.linspace(15, 30, 40)[:, None] * np.ones((2, 1, 36))
    frames = rng.poisson(slope).astype(float)
    frames[:, 18:22, 10:14] += 300
    background = wavelet_background(frames)
    assert np.abs(background - slope).mean() < 4
    assert background[:, 18:22, 10:14].max() < 45
