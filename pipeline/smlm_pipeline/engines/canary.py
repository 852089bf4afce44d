"""Test a server with one frame that has one molecule: a server may be ready and yet not work.

A server whose GPU memory was exhausted may report that it is ready, and answer with nothing or
with wrong data; so does, in older servers, one whose Python backend lost a stub.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import ChunkAnswer, Request, Transport
from smlm_pipeline.errors import InferenceError

SIZE_PX = contract.TILE_SIZES_PX[0]
"""Edge of the frame: the smallest tile, so that the test costs little."""

_WINDOW = Window(contract.MAP_ZOOM, 0, 0, SIZE_PX, SIZE_PX)

SIGMA_PX, BACKGROUND_ADU, SCALE_ADU, PEAK_ADU = 1.2, 100.0, 200.0, 400.0
"""A molecule as in training: its peak is about twice the scale above the background."""

NOISE_ADU = 12.0
"""Camera noise, as of 20 photons of background: networks never saw a frame without."""

FOUND_MIN, FOUND_MAX = 0.25, 2.0
"""Emitters that a working network finds around the molecule; the shipped ones find 0.66 to 0.98."""

NEAR_PX = 2
"""Camera pixels around the molecule in which emitters count as found."""

ELSEWHERE_MAX = 0.25
"""Most emitters in the rest of the frame; the shipped networks find none."""

_REMEDY = (
    "restart it, and look at its log for memory that ran out or a network that is not this "
    "project's"
)


@dataclass(frozen=True)
class Canary:
    """The result: the emitters found at the molecule, and the time of the answer."""

    emitters: float
    elapsed_ms: float


def ask(transport: Transport) -> Canary:
    """Send the frame and judge the answer.

    Raises
    ------
    ReconError
        If the server does not answer, or refuses the frame.
    InferenceError
        If the answer has another shape, the molecule is not found at its place, or more than
        it is found.
    """
    started = time.perf_counter()
    answer = transport.sum_chunk(_request())
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    return Canary(_emitters(answer), elapsed_ms)


def _request() -> Request:
    rows, columns = np.ogrid[:SIZE_PX, :SIZE_PX]
    centre_px = SIZE_PX / 2
    square_px = (rows - centre_px) ** 2 + (columns - centre_px) ** 2
    spot_adu = PEAK_ADU * np.exp(-square_px / (2 * SIGMA_PX**2))
    noise_adu = NOISE_ADU * np.random.default_rng(0).standard_normal((SIZE_PX, SIZE_PX))
    light_adu = BACKGROUND_ADU + spot_adu + noise_adu
    frames_adu: NDArray[np.uint16] = light_adu.round().astype(np.uint16)
    levels_adu = np.array([[BACKGROUND_ADU, SCALE_ADU]], np.float32)
    return Request("canary", frames_adu[None], levels_adu, _WINDOW)


def _emitters(answer: ChunkAnswer) -> float:
    if answer.sums.end > _WINDOW.size or answer.frame_count != 1:
        raise InferenceError(
            f"canary: the server answered with {answer.sums.end} SR pixels or more over "
            f"{answer.frame_count} frames; expected {_WINDOW.size} over 1: start it on this "
            "project's model_repository"
        )
    emitters, elsewhere = _near_and_elsewhere(answer.sums.dense(_WINDOW.shape[1:]))
    if not FOUND_MIN <= emitters <= FOUND_MAX:
        raise InferenceError(
            f"canary: the server found {emitters:.2f} emitters where one is; expected "
            f"{FOUND_MIN:g} to {FOUND_MAX:g}: {_REMEDY}"
        )
    if elsewhere > ELSEWHERE_MAX:
        raise InferenceError(
            f"canary: the server found {elsewhere:.2f} emitters where none is; expected at most "
            f"{ELSEWHERE_MAX:g}: {_REMEDY}"
        )
    return emitters


def _near_and_elsewhere(image: NDArray[np.int64]) -> tuple[float, float]:
    """Sum the emitters around the molecule and, by their absolute values, in the rest."""
    centre_px = contract.MARGIN_PX + SIZE_PX / 2 + 0.5
    first, last = (round(contract.MAP_ZOOM * (centre_px + by)) for by in (-NEAR_PX, NEAR_PX))
    near = image[first:last, first:last]
    rest = np.abs(image, dtype=np.float64).sum() - np.abs(near, dtype=np.float64).sum()
    return (
        float(near.sum(dtype=np.int64)) / contract.WEIGHT_ONE,
        float(rest) / contract.WEIGHT_ONE,
    )
