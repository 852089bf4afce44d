"""The molecules of one request: those in its core, in the numbers of its frames."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.processes import finished
from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import PROBABILITY_MIN as CANDIDATE_MIN
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ChunkError
from smlm_pipeline.localise.chunk import PROBABILITY_MIN, molecules
from smlm_pipeline.localise.localise import localise

_CROWD = """
import numpy as np
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.window import Window
from smlm_pipeline.localise.chunk import molecules
detections = np.random.default_rng(1).uniform(0, 0.9, (3, 7, 40, 40)).astype(np.float32)
detections[:, 3:] += 0.1
assert len(molecules(candidates(detections), Window(8, 0, 0, 40, 40, molecules=True))) > 1
detections[:, 1:3] -= 0.5
borders_px = np.array([0.2, 0.4, 0.6], np.float32)
assert len(encode(draw(detections, Window(8, 0, 0, 40, 40, 4).as_tensor(), borders_px))) == 2
"""

WHOLE = Window(8, 0, 0, 12, 16, molecules=True)


def _detections(*pixels: tuple[float, ...], frames: int = 3) -> NDArray[np.float32]:
    """Zero but for (frame, row, column, probability, offset y, offset x, sigma y, sigma x, ...)."""
    detections = np.zeros((frames, 7, 12, 16), np.float32)
    detections[:, 3:] = 0.1
    for frame, row, column, *channels in pixels:
        detections[int(frame), : len(channels), int(row), int(column)] = channels
    return detections


def _molecules(detections: NDArray[np.float32], window: Window = WHOLE) -> NDArray[np.float32]:
    return molecules(candidates(detections), window)


def test_a_molecule_by_hand() -> None:
    """Two pixels point to nearly one place, which is their mean, as uncertain as both and apart."""
    detections = _detections(
        (1, 5, 7, 0.6, 0.3, 0.0, 0.1, 0.2, 20, 2), (1, 6, 7, 0.3, -0.4, 0.0, 0.1, 0.2, 26, 4)
    )
    found = _molecules(detections)
    assert found.dtype == np.float32
    assert found.shape == (1, len(contract.MOLECULE_COLUMNS))
    spread_px = math.sqrt(0.1**2 + 2 / 9 * 0.3**2)
    light = (2 * 20 + 26) / 3, math.sqrt((2 * 2**2 + 4**2) / 3 + 2 / 9 * 6**2)
    expected = [1, (2 * 5.8 + 6.1) / 3, 7.5, spread_px, 0.2, 0.9, *light]
    assert found[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_only_molecules_in_the_core_count() -> None:
    """By their place, not by the pixel that found them; borders belong to the core after them."""
    window = dataclasses.replace(WHOLE, top_px=4, left_px=4, height_px=4, width_px=8)
    sure = (0.9, 0.0, 0.0, 0.1, 0.1)
    detections = _detections(
        (0, 4, 4, *sure),
        (0, 7, 11, *sure),
        (0, 3, 6, *sure),
        (0, 8, 6, *sure),
        (0, 5, 3, *sure),
        (0, 5, 12, *sure),
        (1, 3, 6, 0.9, 0.75, 0.0, 0.1, 0.1),  # points into it
        (1, 7, 6, 0.9, 0.75, 0.0, 0.1, 0.1),  # points out of it
        (2, 3, 6, 0.9, 0.5, 0.0, 0.1, 0.1),  # on its first border
        (2, 7, 6, 0.9, 0.5, 0.0, 0.1, 0.1),  # on its last border
    )
    found = _molecules(detections, window)[:, :3].tolist()
    assert found == [[0, 4.5, 4.5], [0, 7.5, 11.5], [1, 4.25, 6.5], [2, 4, 6.5]]


def test_what_is_around_the_core_decides_what_belongs_together() -> None:
    """A pixel outside of the core adds its probability to the molecule within."""
    window = dataclasses.replace(WHOLE, top_px=4, height_px=4)
    detections = _detections(
        (0, 4, 7, 0.6, -0.3, 0.0, 0.1, 0.1), (0, 3, 7, 0.3, 0.7, 0.0, 0.1, 0.1)
    )
    found = _molecules(detections, window)
    assert found[:, 5].tolist() == pytest.approx([0.9])


def test_improbable_molecules_are_left_out() -> None:
    detections = _detections(
        (0, 2, 2, 0.99 * PROBABILITY_MIN, 0, 0, 0.1, 0.1),
        (0, 8, 8, 1.01 * PROBABILITY_MIN, 0, 0, 0.1, 0.1),
        (1, 2, 2, 0.6 * PROBABILITY_MIN, 0.5, 0, 0.1, 0.1),
        (1, 3, 2, 0.6 * PROBABILITY_MIN, -0.5, 0, 0.1, 0.1),
        (2, 2, 2, 0.9 * CANDIDATE_MIN, 0, 0, 0.1, 0.1),
    )
    assert _molecules(detections)[:, 0].tolist() == [0, 1]


def test_no_molecules() -> None:
    found = _molecules(_detections())
    assert found.dtype == np.float32
    assert found.shape == (0, len(contract.MOLECULE_COLUMNS))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_they_are_those_of_localise(seed: int) -> None:
    """For a crowd: the same rows, frame by frame."""
    rng = np.random.default_rng(seed)
    detections = rng.uniform(-0.5, 0.5, (4, 7, 12, 16)).astype(np.float32)
    detections[:, 0] = rng.uniform(0, 1, (4, 12, 16)) ** 4
    detections[:, 3:] = rng.uniform(0.05, 0.3, (4, 4, 12, 16))
    found = _molecules(detections)
    table = localise(detections, pixel_size_nm=1, threshold=PROBABILITY_MIN)
    expected = np.column_stack([getattr(table, name) for name in _TABLE_COLUMNS])
    assert len(found) > 50
    assert (np.diff(found[:, 0]) >= 0).all()
    order = np.lexsort(found[:, 2::-1].T), np.lexsort(expected[:, 2::-1].T)
    np.testing.assert_allclose(found[order[0]], expected[order[1]], rtol=1e-5)


_LIGHT = ("intensity", "sigma_intensity")
_TABLE_COLUMNS = ("frame", "y_nm", "x_nm", "sigma_y_nm", "sigma_x_nm", "probability", *_LIGHT)


@pytest.mark.parametrize(
    ("channel", "value"),
    [(0, 2.0), (1, np.inf), (2, -1.5), (4, np.nan), (3, 0.0), (5, np.nan), (6, 0.0), (0, np.nan)],
)
def test_an_answer_that_makes_no_sense_is_refused(channel: int, value: float) -> None:
    detections = _detections((0, 3, 3, 0.9, 0, 0, 0.1, 0.1))
    detections[0, channel, 3, 3] = value
    with pytest.raises(ChunkError, match="not a number, or a sigma or an intensity that is not"):
        _molecules(detections)


def test_loops_that_are_compiled_are_all_that_are_used(tmp_path: Path) -> None:
    """What an image keeps suffices for a film on any processor: nothing is compiled again."""
    compiled = "from smlm_pipeline.localise.chunk import compile_loops; compile_loops()"
    environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for program in (compiled, _CROWD):
        done = finished([sys.executable, "-c", program], env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr
        kept = sorted((tmp_path / "kept").rglob("*.nb?"))
        if program is compiled:
            before = [(file, file.stat().st_mtime_ns) for file in kept]
            assert before
    assert [(file, file.stat().st_mtime_ns) for file in kept] == before
