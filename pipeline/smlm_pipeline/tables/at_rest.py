"""Take the drift out of the rows of a table, and estimate it from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from smlm_pipeline.drift.curve import Drift
from smlm_pipeline.drift.estimate import MOLECULES_MOST, Estimate, estimate
from smlm_pipeline.drift.points import Points, thinned
from smlm_pipeline.tables.rows import Rows


def at_rest(blocks: Iterable[Rows], drift: Drift) -> Iterator[Rows]:
    """Rows less the drift of their frames; their order stays."""
    for rows in blocks:
        y_nm, x_nm = drift.at(rows["frame"])
        places = {"x_nm": rows["x_nm"] - x_nm, "y_nm": rows["y_nm"] - y_nm}
        yield Rows({**rows.columns, **places})


def drift_of_rows(blocks: Iterable[Rows], row_count: int) -> Estimate | None:
    """Estimate the drift of a table; see `drift.estimate.estimate`.

    Parameters
    ----------
    blocks : iterable of Rows
        All rows, in the order of their frames.
    row_count : int
        Their number.
    """
    points = (
        Points(rows["frame"].astype(np.int64), np.stack([rows["y_nm"], rows["x_nm"]]))
        for rows in blocks
    )
    return estimate(thinned(points, row_count, MOLECULES_MOST))
