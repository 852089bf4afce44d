"""The network on a whole film, a block of frames at a time: a table of what it found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.network import Network
from smlm_training.scoring.inference import normalized_blocks, padded_px
from smlm_training.scoring.localise import THRESHOLD, localise
from smlm_training.scoring.molecules import Localisations, stacked

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
        network = Network(network_file, intra_op_threads=0)
    except (FileNotFoundError, IsADirectoryError, *_NO_NETWORK) as error:
        what = str(error).splitlines()[0]
        raise SettingError(f"{network_file} is no network ({what}); {expected}") from error
    if network.answer != contract.DETECTIONS:
        raise SettingError(f"{network_file} answers with {network.answer.name}; {expected}")
    return localise_film(network, frames_adu, pixel_size_nm=pixel_size_nm, threshold=threshold)


def localise_film(
    network: Network,
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
    network: Network, frames_adu: NDArray[np.uint16]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Number of the first frame and detections of each block, without what was padded."""
    height, width = frames_adu.shape[1:]
    most = max(_BLOCK_PIXELS // (padded_px(height) * padded_px(width)), 1)
    step = min(most, contract.MAX_FRAMES_PER_CHUNK)
    for index, block in enumerate(normalized_blocks(frames_adu, step)):
        yield index * step, network.detect(block)[:, :, :height, :width]
