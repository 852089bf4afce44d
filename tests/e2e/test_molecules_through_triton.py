"""The table of molecules is the same through Triton and in this process, and is `localise`'s."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.tables import in_one
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.settings import Settings
from smlm_pipeline.tables.rows import Rows
from smlm_training.scoring.inference import localise_film
from smlm_training.simulation.presets import preset_film


def _table(path: Path, transport: Transport, **cut: int) -> Rows:
    """The molecules of a film from probability 0.5 on, in camera pixels."""
    with open_film(path) as film, MoleculeSink(path.with_suffix(".kept"), 0.5, film.corner) as sink:
        settings = Settings(brightness="off", **cut)  # type: ignore[arg-type]
        reconstruct(film, transport, settings, molecules=sink)
        return in_one(list(sink.blocks(1)))


def _same(found: Rows, expected: Rows, *, tolerance_px: float) -> None:
    """The same molecules; a place at the edge of a pixel may change the order of two rows.

    One in a thousand may have another place: where two detections are as near to a third, the last
    bits decide which of them is merged with it.
    """
    assert found["frame"].tolist() == expected["frame"].tolist()
    for name in ("x_nm", "y_nm"):
        orders = (np.lexsort([rows[name], rows["frame"]]) for rows in (found, expected))
        first, second = (
            rows[name][order] for rows, order in zip((found, expected), orders, strict=True)
        )
        assert np.mean(np.abs(first - second) > tolerance_px) <= 1e-3
        assert np.abs(first - second).max() <= max(tolerance_px, 0.05)


@pytest.mark.triton
def test_triton_answers_with_the_local_molecules(
    film_file: Path, triton: EmbeddedServer, local_transport: LocalTransport
) -> None:
    with TritonTransport(triton.servers) as transport:
        through_triton = _table(film_file, transport, chunk_frames=7, in_flight=3)
    here = _table(film_file, local_transport)
    assert len(here) > 500
    for name in here.names:
        np.testing.assert_array_equal(through_triton[name], here[name])


def test_the_table_is_that_of_localise(
    film_file: Path, film_adu: NDArray[np.uint16], local_transport: LocalTransport
) -> None:
    found = _table(film_file, local_transport, chunk_frames=9)
    expected = localise_film(local_transport.network, film_adu, pixel_size_nm=1.0)
    order = np.lexsort([expected.x_nm, expected.y_nm, expected.frame])
    np.testing.assert_array_equal(found["frame"], expected.frame[order])
    for name, column in (
        ("x_nm", expected.x_nm),
        ("y_nm", expected.y_nm),
        ("uncertainty_x_nm", expected.sigma_x_nm),
        ("uncertainty_y_nm", expected.sigma_y_nm),
        ("probability", expected.probability),
    ):
        np.testing.assert_allclose(found[name], column[order], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("tile_px", [64, 96])
def test_each_molecule_is_in_one_tile(
    tile_px: int, tmp_path: Path, local_transport: LocalTransport
) -> None:
    frames_adu = preset_film("uniform-3", seed=5, frames=4, height_px=120, width_px=150).frames_adu
    tifffile.imwrite(tmp_path / "wide.tif", frames_adu, photometric="minisblack")
    whole = _table(tmp_path / "wide.tif", local_transport)
    tiled = _table(tmp_path / "wide.tif", local_transport, tile_px=tile_px, chunk_frames=3)
    assert len(whole) > 1000
    _same(tiled, whole, tolerance_px=1e-3)
