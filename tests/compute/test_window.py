"""What a request asks of a summation: read from its tensors, and refused out of range."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.window import (
    Window,
    check_class_borders,
    check_image_size,
    check_map_window,
    check_window,
)
from smlm_pipeline.errors import ChunkError

WHOLE = Window(8, 0, 0, 8, 12)
"""The core is all of a tile of 8 x 12 pixels."""

LARGEST = 2**31 - 1


def _tensor(window: Window = WHOLE, **changed: int) -> NDArray[np.int32]:
    return dataclasses.replace(window, **changed).as_tensor()  # type: ignore[arg-type]


def test_window_becomes_plain_integers() -> None:
    asked = check_window(np.array([8, 1, 2, 3, 4, 2, 1], np.int32), 4, 6)
    assert asked == Window(8, 1, 2, 3, 4, 2, molecules=True)
    assert [type(value) for value in dataclasses.astuple(asked)] == [*[int] * 6, bool]
    assert asked.shape == (2, 5 * 8, 6 * 8)
    assert asked.size == 2 * 5 * 8 * 6 * 8


@given(
    zoom=st.integers(1, 64),
    top_left=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    classes=st.integers(1, 4),
    molecules=st.booleans(),
)
def test_a_tensor_is_read_as_it_was_written(
    zoom: int, top_left: tuple[int, int], size: tuple[int, int], classes: int, molecules: bool
) -> None:
    window = Window(zoom, *top_left, *size, classes, molecules)
    tensor = window.as_tensor()
    assert tensor.dtype == np.int32
    assert tensor.shape == contract.WINDOW.dims
    assert check_window(tensor, 40, 40) == window


@pytest.mark.parametrize("shape", [(5,), (6,), (8,), (1, 7), ()])
def test_window_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"WINDOW has shape .*; expected \(7,\)"):
        check_window(np.ones(shape, np.int32), 8, 8)


@pytest.mark.parametrize(
    "core",
    [
        (0, 0, 0, 12),
        (0, 0, 8, 0),
        (0, 0, -8, 12),
        (-1, 0, 8, 12),
        (0, -1, 8, 12),
        (1, 0, 8, 12),
        (0, 1, 8, 12),
        (0, 0, 12, 8),
        (LARGEST, 0, LARGEST, 1),
        (0, -LARGEST, 1, LARGEST),
    ],
)
def test_window_outside_of_the_tile_is_refused(core: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"WINDOW .* does not lie in a tile of 8 x 12 pixels"):
        check_window(np.array([8, *core, 1, 0], np.int32), 8, 12)


@pytest.mark.parametrize("zoom", [0, -1, 65, LARGEST, -LARGEST])
def test_a_zoom_out_of_range_is_refused(zoom: int) -> None:
    with pytest.raises(ChunkError, match=rf"asks for {zoom} as zoom; expected 1 to 64"):
        check_window(_tensor(zoom=zoom), 8, 12)


@pytest.mark.parametrize("classes", [0, -1, 5, LARGEST])
def test_a_number_of_classes_out_of_range_is_refused(classes: int) -> None:
    with pytest.raises(ChunkError, match=rf"asks for {classes} as precision classes; expected 1 t"):
        check_window(_tensor(classes=classes), 8, 12)


@pytest.mark.parametrize("molecules", [-1, 2, LARGEST])
def test_a_flag_that_is_none_is_refused(molecules: int) -> None:
    with pytest.raises(ChunkError, match=rf"asks for molecules by {molecules}; expected 0 or 1"):
        check_window(_tensor(molecules=molecules), 8, 12)


@pytest.mark.parametrize(
    ("zoom", "edge_px", "classes"), [(64, 512, 1), (64, 180, 1), (64, 90, 4), (16, 512, 2)]
)
def test_an_image_of_too_many_pixels_is_refused(zoom: int, edge_px: int, classes: int) -> None:
    """Its margin and all classes count: 2^27 SR pixels of four bytes are 512 MiB."""
    sr_px = (edge_px + 2) * zoom
    assert classes * sr_px**2 > contract.MAX_IMAGE_PIXELS
    words = f"asks for {classes} x {sr_px} x {sr_px} SR pixels; expected at most 134217728: choose"
    with pytest.raises(ChunkError, match=words):
        check_image_size(Window(zoom, 0, 0, edge_px, edge_px, classes))


@pytest.mark.parametrize(
    ("zoom", "edge_px", "classes"), [(64, 179, 1), (22, 512, 1), (11, 512, 4), (8, 512, 4)]
)
def test_the_largest_images_are_read(zoom: int, edge_px: int, classes: int) -> None:
    window = Window(zoom, 0, 0, edge_px, edge_px, classes)
    assert window.size <= contract.MAX_IMAGE_PIXELS
    check_image_size(window)
    assert check_window(window.as_tensor(), 512, 512) == window


# --- maps -------------------------------------------------------------------------------------


def test_a_map_window_counts_camera_pixels() -> None:
    assert check_map_window(_tensor(), 64, 96) == WHOLE
    with pytest.raises(ChunkError, match="does not lie in a tile of 8 x 11 pixels"):
        check_map_window(_tensor(), 64, 88)


@pytest.mark.parametrize(
    "asked", [{"classes": 2}, {"molecules": 1}, {"classes": 4, "molecules": 1}]
)
def test_maps_have_neither_classes_nor_molecules(asked: dict[str, Any]) -> None:
    words = "makes maps for precision classes or molecules; expected neither: ask 'reconstruction'"
    with pytest.raises(ChunkError, match=words):
        check_map_window(_tensor(**asked), 64, 96)


# --- borders of classes -----------------------------------------------------------------------


def _borders(*borders_px: float) -> NDArray[np.float32]:
    return np.array(borders_px, np.float32)


@pytest.mark.parametrize("shape", [(0,), (2,), (4,), (1, 3), ()])
def test_borders_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ChunkError, match=r"CLASS_BORDERS has shape .*; expected \(3,\)"):
        check_class_borders(np.ones(shape, np.float32), 1)


@pytest.mark.parametrize(
    ("borders_px", "classes"),
    [
        ((0, 1, 2), 2),
        ((-1, 1, 2), 2),
        ((math.nan, 1, 2), 2),
        ((math.inf, 1, 2), 2),
        ((0.2, 0.1, 0.3), 3),
        ((0.1, 0.1, 0.3), 3),
        ((0.1, math.nan, 0.3), 3),
        ((0.1, 0.2, 0.15), 4),
        ((0.1, 0.2, math.inf), 4),
    ],
)
def test_borders_that_do_not_ascend_are_refused(
    borders_px: tuple[float, ...], classes: int
) -> None:
    with pytest.raises(ChunkError, match="expected ascending positive numbers"):
        check_class_borders(_borders(*borders_px), classes)


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_borders_beyond_those_of_the_classes_do_not_count(classes: int) -> None:
    borders_px = _borders(0.1, 0.2, 0.3)
    borders_px[classes - 1 :] = math.nan
    check_class_borders(borders_px, classes)
    if classes > 1:
        borders_px[classes - 2] = math.nan
        with pytest.raises(ChunkError, match="expected ascending positive numbers"):
            check_class_borders(borders_px, classes)


def test_borders_in_words_are_read_again() -> None:
    borders_px = {2: (0.12,), 3: (0.1, 0.15), 4: (0.09, 0.12, 0.18)}
    text = contract.class_borders_text(borders_px)
    assert text == "0.12; 0.1 0.15; 0.09 0.12 0.18"
    assert contract.class_borders_of(text) == borders_px
    assert contract.class_borders_of("") == {}
