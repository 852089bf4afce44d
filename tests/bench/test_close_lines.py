"""Where the figure looks: two lines that run side by side."""

from __future__ import annotations

import numpy as np
import pytest

from smlm_bench.table.close_lines import close_lines
from smlm_training.scoring.evaluate import blurred

FINE_NM = 12.5


@pytest.mark.parametrize("apart_px", [12, 20])
def test_the_nearest_pair_of_lines_is_found(apart_px: int) -> None:
    truth = np.zeros((256, 256))
    truth[:, 40] = 5  # alone
    truth[:, 150], truth[:, 150 + apart_px] = 5, 4
    view = blurred(truth, 2.0)
    cut = close_lines(view, FINE_NM)
    assert abs(cut.x - (150 + apart_px / 2)) <= 6
    assert abs(np.cos(cut.angle)) > 0.9
    profile, places_nm = cut.profile(view), cut.places_nm()
    inner = profile[1:-1]
    tops_nm = places_nm[1:-1][(inner > profile[:-2]) & (inner >= profile[2:])]
    assert np.diff(tops_nm)[0] == pytest.approx(apart_px * FINE_NM, abs=2 * FINE_NM)


def test_without_such_a_place_the_cut_lies_in_the_field() -> None:
    truth = np.zeros((96, 128))
    truth[20, 30] = 1
    cut = close_lines(blurred(truth, 2.0), FINE_NM)
    assert 0 <= cut.y < 96
    assert 0 <= cut.x < 128
    assert np.isfinite(cut.profile(truth)).all()
