"""Run a network on a whole film in memory, as scores and model cards need it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.normalize import normalize_whole
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.tiles import emitters, pad
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.localise import THRESHOLD, localise
from smlm_pipeline.localise.table import Localisations, stacked

ZOOM = contract.MAP_ZOOM
"""SR pixels along a camera pixel, in scores: 12.5 nm for pixels of 100 nm."""

_BLOCK_PIXELS = 1 << 20
"""Pixels that one call of the network takes: detections are ten times the size of their frames."""

_NO_BORDERS = np.zeros(contract.CLASS_BORDERS.dims, np.float32)
"""Of a single precision class."""

NO_NETWORK_ERRORS = (
    onnx_errors.Fail,
    onnx_errors.InvalidArgument,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.NotImplemented,
)
"""Errors of ONNX Runtime for a file that is not an ONNX network."""


def normalized(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A whole film (N, Y, X) as Keras' networks read it: (N, 1, H, W), padded."""
    shown_adu, levels_adu = prepared(frames_adu)
    blocks = (
        slice(first, first + contract.MAX_FRAMES)
        for first in range(0, len(frames_adu), contract.MAX_FRAMES)
    )
    return np.concatenate([normalize_whole(shown_adu[each], levels_adu[each]) for each in blocks])


def detect(network: Network, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The network's answer to all frames of a film, under the film's own levels.

    Parameters
    ----------
    network : Network
        The exported network.
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film; H and W are multiples of ``contract.SIZE_MULTIPLE_PX``.

    Returns
    -------
    ndarray, shape (N, 7, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections or maps, see `smlm_pipeline.contract`.
    """
    return network.detect(*prepared(frames_adu))


def draw(
    answers: NDArray[np.float32], shape_px: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Emitters per SR pixel, (``ZOOM`` Y, ``ZOOM`` X), summed over the frames.

    Parameters
    ----------
    answers : ndarray, shape (N, 7, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, which are drawn, or maps, which are summed.
    shape_px : tuple of int, optional
        Height and width of the field, without padding; by default H and W.
    """
    kind = contract.answer_with(channels=answers.shape[1])
    height, width = shape_px or (size // kind.zoom for size in answers.shape[2:])
    window = Window(ZOOM, 0, 0, height, width)
    sums = sum_answers(answers, window.as_tensor(), _NO_BORDERS, kind)
    (image,) = sums.dense(window.shape)
    return emitters(image, ZOOM)


def localise_by_file(
    network_file: Path,
    frames_adu: NDArray[np.uint16],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
) -> Localisations:
    """`localise_film` with an ONNX file.

    Raises
    ------
    SettingError
        If the file is no network, or one that answers with maps.
    ContractError
        If its tensors are not those of the contract.
    """
    expected = (
        f"expected an ONNX file that answers with {contract.DETECTIONS.name}, as "
        "'recon-train export' writes it"
    )
    try:
        network = OnnxNetwork(network_file, intra_op_threads=0)
    except (FileNotFoundError, IsADirectoryError, *NO_NETWORK_ERRORS) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"{network_file} is no network ({reason}); {expected}") from error
    if network.answer.makes_maps:
        raise SettingError(f"{network_file} answers with {network.answer.name}; {expected}")
    return localise_film(network, frames_adu, pixel_size_nm=pixel_size_nm, threshold=threshold)


def localise_film(
    network: Network,
    frames_adu: NDArray[np.uint16],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
) -> Localisations:
    """Localisations of all frames, under the film's own levels.

    Parameters
    ----------
    network : Network
        The exported network.
    frames_adu : ndarray, shape (N, Y, X), uint16
        A whole film of any size.
    pixel_size_nm : float
        Edge of a camera pixel.
    threshold : float
        Least probability, see `smlm_pipeline.localise.localise.localise`.

    Raises
    ------
    ChunkError
        If a detection is not a number, or a sigma not positive.
    """
    return stacked(
        localise(
            detections, pixel_size_nm=pixel_size_nm, threshold=threshold, first_frame=first_frame
        )
        for first_frame, detections in _detections(network, frames_adu)
    )


def _detections(
    network: Network, frames_adu: NDArray[np.uint16]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Index of the first frame and detections of each block, without the padding."""
    shown_adu, levels_adu = prepared(frames_adu)
    height, width = frames_adu.shape[1:]
    block_frames = max(_BLOCK_PIXELS // (contract.padded_px(height) * contract.padded_px(width)), 1)
    for first in range(0, len(frames_adu), block_frames):
        block = slice(first, first + block_frames)
        detections = network.detect(pad(shown_adu[block]), levels_adu[block])
        yield first, detections[:, :, :height, :width]
