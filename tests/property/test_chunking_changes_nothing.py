"""However a film is cut, the image is the same to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.simulation.presets import preset_film

ENGINES = {
    "local_transport": contract.RECONSTRUCTION.name,
    "map_transport": contract.RECONSTRUCTION_MAP.name,
}


@dataclass(frozen=True)
class Whole:
    """An engine and the image that it makes of the film in one chunk."""

    transport: LocalTransport
    model: str
    image: NDArray[np.float32]


@pytest.fixture(scope="module", params=list(ENGINES))
def whole(request: pytest.FixtureRequest, film_file: Path) -> Whole:
    transport: LocalTransport = request.getfixturevalue(request.param)
    model = ENGINES[request.param]
    with open_film(film_file) as film:
        image = reconstruct(film, transport, Settings(model=model, chunk_frames=64)).image
    assert image.sum() > 0
    return Whole(transport, model, image)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chunk_frames=st.integers(1, 64), in_flight=st.integers(1, 4))
def test_any_chunk_size_gives_the_same_image(
    film_file: Path, whole: Whole, chunk_frames: int, in_flight: int
) -> None:
    cut = Settings(model=whole.model, chunk_frames=chunk_frames, in_flight=in_flight)
    with open_film(film_file) as film:
        image = reconstruct(film, whole.transport, cut).image
    np.testing.assert_array_equal(image, whole.image)


@pytest.mark.parametrize("tile_px", [96, 128])
@pytest.mark.parametrize("engine", ENGINES)
def test_tiles_give_the_same_image_as_the_whole_field(
    tile_px: int, engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Weights are rounded to 2^-16, so a pixel may differ by that for each frame, and no more."""
    frames_adu = preset_film("uniform-3", seed=4, frames=3, height_px=150, width_px=206).frames_adu
    transport: LocalTransport = request.getfixturevalue(engine)
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    with open_film(path) as film:
        tiled = reconstruct(film, transport, Settings(tile_px=tile_px, brightness="off"))
        untiled = reconstruct(film, transport, Settings(brightness="off"))
    assert tiled.chunk_count > untiled.chunk_count
    assert untiled.image.sum() > 100
    assert np.abs(tiled.image - untiled.image).max() <= len(frames_adu) * 2.0**-16


def test_no_seam_shows_between_tiles(local_transport: LocalTransport, tmp_path: Path) -> None:
    """Beside the seams there are as many emitters as elsewhere, to four standard errors."""
    frames_adu = preset_film("uniform-3", seed=8, frames=8, height_px=64, width_px=400).frames_adu
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    settings = Settings(tile_px=64)
    with open_film(path) as film:
        found = reconstruct(film, local_transport, settings)
    spans = {chunk.tile.x for chunk in found.plan.chunks}
    by_column = found.image.sum(axis=0).reshape(400, settings.zoom).sum(axis=1)
    seams = sorted(span.core_start for span in spans)[1:]
    beside = np.zeros(400, bool)
    for seam in seams:
        beside[seam - 1 : seam + 1] = True
    assert beside.sum() == 2 * len(seams) >= 20
    expected = by_column[~beside].mean() * beside.sum()
    assert expected > 100
    assert abs(by_column[beside].sum() - expected) < 4 * np.sqrt(expected)
