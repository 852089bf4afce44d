"""A network on a whole small film at once: what scores and cards are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from smlm_pipeline import contract
from smlm_pipeline.compute import levels as leveling
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.levels import spread_evenly
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.tiles import cut
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.localise import THRESHOLD, localise
from smlm_pipeline.localise.table import Localisations, stacked
from smlm_pipeline.settings import Settings

ZOOM = contract.MAP_ZOOM
"""Fine pixels along a camera pixel, in scores: 12.5 nm for pixels of 100 nm."""


def film_levels(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Background and scale (2,), in ADU, from as many frames as the client takes."""
    return leveling.film_levels(frames_adu[spread_evenly(len(frames_adu), Settings.level_frames)])


def film_mean(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Mean frame (H, W), in ADU, of as many frames as the client takes."""
    chosen = spread_evenly(len(frames_adu), Settings.mean_frames)
    mean_adu: NDArray[np.float32] = frames_adu[chosen].mean(axis=0, dtype=np.float64).astype("f4")
    return mean_adu


def detect(network: OnnxNetwork, frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Detections of all frames of a film.

    Parameters
    ----------
    network : Network
        The exported network.
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film; H and W are multiples of ``contract.SIZE_MULTIPLE_PX``.

    Returns
    -------
    ndarray, shape (N, 5, H, W), float32
        Channels of ``contract.DETECTION_CHANNELS``.
    """
    return network.detect(normalized(frames_adu))


def normalized(frames_adu: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A whole film (N, H, W) as the network reads it: (N, 2, H, W), padded as in the blocks."""
    return np.concatenate(list(normalized_blocks(frames_adu, contract.MAX_FRAMES_PER_CHUNK)))


def normalized_blocks(
    frames_adu: NDArray[np.uint16], block_frames: int
) -> Iterator[NDArray[np.float32]]:
    """A film as the network reads it, at most ``block_frames`` frames at a time.

    Parameters
    ----------
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film of any size.
    block_frames : int
        Frames of a block, no more than ``contract.MAX_FRAMES_PER_CHUNK``.

    Yields
    ------
    ndarray, shape (n, 2, H', W'), float32
        H' and W' are the next multiples of what the network halves; the last row
        and column are repeated up to there, as the client does.
    """
    count, height, width = frames_adu.shape
    whole = {"top": 0, "left": 0, "height": padded_px(height), "width": padded_px(width)}
    mean_adu = cut(film_mean(frames_adu)[None], **whole)[0]
    levels_adu = film_levels(frames_adu)[None]
    for first in range(0, count, block_frames):
        block = cut(frames_adu[first : first + block_frames], **whole)
        yield normalize(block, mean_adu, np.repeat(levels_adu, len(block), axis=0))


def padded_px(size_px: int) -> int:
    """The next multiple of what the network halves."""
    return -(-size_px // contract.SIZE_MULTIPLE_PX) * contract.SIZE_MULTIPLE_PX


def draw(answers: NDArray[np.float32]) -> NDArray[np.float64]:
    """Emitters per fine pixel, (``ZOOM`` H, ``ZOOM`` W), summed over the frames.

    Parameters
    ----------
    answers : ndarray, shape (N, 5, H, W) or (N, 1, ``ZOOM`` H, ``ZOOM`` W), float32
        Detections, which are drawn, or maps, which are only summed.
    """
    kind = contract.answer_with(channels=answers.shape[1])
    height, width = (size // kind.zoom for size in answers.shape[2:])
    window = np.array([ZOOM, 0, 0, height, width], np.int32)
    margin = contract.MARGIN_PX * ZOOM
    summed = sum_answers(answers, window, kind)
    image: NDArray[np.float64] = summed[margin:-margin, margin:-margin] / contract.WEIGHT_ONE
    return image


_BLOCK_PIXELS = 1 << 20
"""Pixels detected at a time: detections are ten times the size of their frames."""


_NO_NETWORK = (
    onnx_errors.Fail,
    onnx_errors.InvalidArgument,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.NotImplemented,
)
"""What ONNX Runtime raises for a file that is none of its own kind."""


def localise_by_file(
    network_file: Path,
    frames_adu: NDArray[np.uint16],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
) -> Localisations:
    """``localise_film`` by an ONNX file that a user named.

    Raises
    ------
    SettingError
        If the file is no network, or one that answers with a map.
    ContractError
        If its tensors are not those of the contract.
    """
    expected = (
        f"expected an ONNX file that answers with {contract.DETECTIONS.name}, as "
        "'recon-train export' writes it"
    )
    try:
        network = OnnxNetwork(network_file, intra_op_threads=0)
    except (FileNotFoundError, IsADirectoryError, *_NO_NETWORK) as error:
        what = str(error).splitlines()[0]
        raise SettingError(f"{network_file} is no network ({what}); {expected}") from error
    if network.answer.makes_maps:
        raise SettingError(f"{network_file} answers with {network.answer.name}; {expected}")
    return localise_film(network, frames_adu, pixel_size_nm=pixel_size_nm, threshold=threshold)


def localise_film(
    network: OnnxNetwork,
    frames_adu: NDArray[np.uint16],
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
) -> Localisations:
    """Molecules of all frames, under the film's own levels and mean.

    Parameters
    ----------
    network : Network
        The exported network.
    frames_adu : ndarray, shape (N, H, W), uint16
        A whole film of any size; its last rows and columns are repeated up to
        what the network takes, as the client does.
    pixel_size_nm : float
        Edge of a camera pixel.
    threshold : float
        Least probability, see ``localise``.

    Raises
    ------
    ChunkError
        If the network's answer makes no sense.
    """
    return stacked(
        localise(
            detections, pixel_size_nm=pixel_size_nm, threshold=threshold, first_frame=first_frame
        )
        for first_frame, detections in _detections(network, frames_adu)
    )


def _detections(
    network: OnnxNetwork, frames_adu: NDArray[np.uint16]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Number of the first frame and detections of each block, without what was padded."""
    height, width = frames_adu.shape[1:]
    most = max(_BLOCK_PIXELS // (padded_px(height) * padded_px(width)), 1)
    step = min(most, contract.MAX_FRAMES_PER_CHUNK)
    for index, block in enumerate(normalized_blocks(frames_adu, step)):
        yield index * step, network.detect(block)[:, :, :height, :width]
