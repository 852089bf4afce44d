"""Molecules and precision classes: the same from both engines, whole and cut into chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import sums
from smlm_pipeline import contract
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Request, Transport
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.errors import ChunkError, InferenceError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.chunk import PROBABILITY_MIN
from smlm_pipeline.localise.localise import localise
from smlm_pipeline.run import chunking
from smlm_pipeline.run.requests import request_of
from smlm_training.simulation.presets import preset_film

HEIGHT_PX, WIDTH_PX, FRAMES = 96, 152, 6
WHOLE = Window(8, 0, 0, HEIGHT_PX, WIDTH_PX, classes=3, molecules=True)
BORDERS_PX = np.array([0.0923, 0.1499, 0], np.float32)

BORDER_PX = 1e-4
"""Molecules so near to the border of two cores may be in both or in none: the network's answer
differs in its last bits with the tile."""

TOLERANCE_PX, PROBABILITY_TOLERANCE, LIGHT_TOLERANCE = 1e-3, 5e-3, 1e-3
"""Largest difference of a molecule between the whole field and a tile, that of light relative. In
bfloat16 a pixel at the limit of candidates joins its molecule in one of them and not in the other,
which moved a probability by 0.002."""


@pytest.fixture(scope="module")
def film() -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    made = preset_film("uniform-3", seed=15, frames=FRAMES, height_px=HEIGHT_PX, width_px=WIDTH_PX)
    return prepared(made.frames_adu)


@pytest.fixture(scope="module")
def whole(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]], local_transport: LocalTransport
) -> NDArray[np.float32]:
    """The molecules of the whole field in one request."""
    found = local_transport.sum_chunk(Request("whole", *film, WHOLE, BORDERS_PX)).molecules
    assert found is not None
    assert len(found) > 300
    return found


def _sorted(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """By frame and place."""
    rows: NDArray[np.float32] = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
    return rows


def _together(
    transport: Transport,
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    *,
    chunk_frames: int,
    tile_px: int,
    asked: Window = WHOLE,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Molecules and classes of all chunks, at their places in the film and in its image."""
    frames_adu, levels_adu = film
    zoom, margin = asked.zoom, contract.MARGIN_PX
    image = np.zeros(asked.shape, np.int64)
    tables = []
    cut = chunking.plan(FRAMES, HEIGHT_PX, WIDTH_PX, chunk_frames=chunk_frames, tile_px=tile_px)
    for chunk in cut:
        part = slice(chunk.first_frame, chunk.last_frame)
        planned = request_of(frames_adu[part], chunk, levels_adu[part], zoom)
        window = dataclasses.replace(
            planned.window, classes=asked.classes, molecules=asked.molecules
        )
        request = dataclasses.replace(planned, window=window, class_borders_px=BORDERS_PX)
        answer = transport.sum_chunk(request)
        y, x = chunk.tile.y, chunk.tile.x
        rows, columns = (
            slice(span.core_start * zoom, (span.core_start + span.core_size + 2 * margin) * zoom)
            for span in (y, x)
        )
        image[:, rows, columns] += answer.sums.dense(window.shape)
        assert answer.molecules is not None
        corner = np.array([chunk.first_frame, y.read_start, x.read_start, *[0] * 5], np.float32)
        tables.append(answer.molecules + corner)
    return np.concatenate(tables), image


def test_the_table_of_a_field_is_that_of_localise(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    local_transport: LocalTransport,
    whole: NDArray[np.float32],
) -> None:
    detections = local_transport.network.detect(*film)
    table = localise(detections, pixel_size_nm=1, threshold=PROBABILITY_MIN)
    names = (
        *("frame", "y_nm", "x_nm", "sigma_y_nm", "sigma_x_nm", "probability"),
        *("intensity", "sigma_intensity"),
    )
    expected = np.column_stack([getattr(table, name) for name in names]).astype(np.float32)
    np.testing.assert_array_equal(_sorted(whole), _sorted(expected))


@pytest.mark.triton
@pytest.mark.parametrize(("chunk_frames", "tile_px"), [(6, 512), (1, 512), (4, 96), (3, 128)])
def test_both_engines_give_the_same_for_each_cutting(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    local_transport: LocalTransport,
    triton: EmbeddedServer,
    chunk_frames: int,
    tile_px: int,
) -> None:
    with TritonTransport(triton.servers) as transport:
        tables, images = zip(
            *(
                _together(each, film, chunk_frames=chunk_frames, tile_px=tile_px)
                for each in (transport, local_transport)
            ),
            strict=True,
        )
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(images[0], images[1])


@pytest.mark.parametrize("chunk_frames", [1, 4])
def test_chunks_of_frames_change_no_bit(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    local_transport: LocalTransport,
    whole: NDArray[np.float32],
    chunk_frames: int,
) -> None:
    found, image = _together(local_transport, film, chunk_frames=chunk_frames, tile_px=512)
    np.testing.assert_array_equal(_sorted(found), _sorted(whole))
    answer = local_transport.sum_chunk(Request("whole", *film, WHOLE, BORDERS_PX))
    np.testing.assert_array_equal(image, sums.image(answer.sums, WHOLE))
    assert (image.sum(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("tile_px", [96, 128])
def test_each_molecule_is_in_one_tile(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    local_transport: LocalTransport,
    whole: NDArray[np.float32],
    tile_px: int,
) -> None:
    """As in the whole field, but for those whose probability or place is on a border."""
    found, _ = _together(local_transport, film, chunk_frames=6, tile_px=tile_px)
    cut = chunking.plan(FRAMES, HEIGHT_PX, WIDTH_PX, chunk_frames=6, tile_px=tile_px)
    assert len(cut) > 1
    borders_px = {
        axis: [getattr(chunk.tile, axis).core_start for chunk in cut] for axis in ("y", "x")
    }

    def doubtful(molecule: NDArray[np.float32]) -> bool:
        apart_px = min(
            abs(place - border)
            for place, axis in zip(molecule[1:3].tolist(), "yx", strict=True)
            for border in borders_px[axis]
        )
        return apart_px < BORDER_PX or abs(float(molecule[5]) - PROBABILITY_MIN) < 1e-3

    assert _matched(found, whole, doubtful) > 0.99 * len(whole)
    assert _matched(whole, found, doubtful) > 0.99 * len(found)


def _matched(
    molecules: NDArray[np.float32],
    among: NDArray[np.float32],
    doubtful: Callable[[NDArray[np.float32]], bool],
) -> int:
    """How many have exactly one like them, of all that are not doubtful.

    One in a thousand may have none: where two places are as near to a third, the last bits decide
    which of them is merged with it.
    """
    matched, alone = 0, 0
    for molecule in molecules:
        near = np.abs(among[:, :3] - molecule[:3]).max(axis=1) < TOLERANCE_PX
        alike = near & (np.abs(among[:, 3:5] - molecule[3:5]).max(axis=1) < TOLERANCE_PX)
        alike &= np.abs(among[:, 5] - molecule[5]) < PROBABILITY_TOLERANCE
        alike &= (np.abs(among[:, 6:] / molecule[6:] - 1) < LIGHT_TOLERANCE).all(axis=1)
        if not doubtful(molecule):
            assert alike.sum() <= 1, molecule
            matched, alone = matched + alike.sum(), alone + 1 - alike.sum()
    assert alone <= 1e-3 * len(molecules)
    return matched


@pytest.mark.triton
def test_no_molecules_where_none_are_asked_for(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    local_transport: LocalTransport,
    triton: EmbeddedServer,
) -> None:
    asked = dataclasses.replace(WHOLE, molecules=False)
    request = Request("whole", *film, asked, BORDERS_PX)
    with TritonTransport(triton.servers) as transport:
        for each in (transport, local_transport):
            assert each.sum_chunk(request).molecules is None


@pytest.mark.triton
@pytest.mark.parametrize("asked", [{"classes": 2, "molecules": False}, {"classes": 1}])
def test_a_map_network_has_neither(
    film: tuple[NDArray[np.uint16], NDArray[np.float32]],
    map_transport: LocalTransport,
    triton: EmbeddedServer,
    asked: dict[str, Any],
) -> None:
    window = dataclasses.replace(WHOLE, **asked)
    request = Request("whole", *film, window, BORDERS_PX)
    words = "precision classes or molecules; expected neither: ask 'reconstruction'"
    with pytest.raises(ChunkError, match=words):
        map_transport.sum_chunk(request)
    with (
        TritonTransport(triton.servers, model=contract.RECONSTRUCTION_MAP.name) as transport,
        pytest.raises(InferenceError, match=words),
    ):
        transport.sum_chunk(request)
