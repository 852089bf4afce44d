"""Writes ``film.npz`` anew: a small film and the sum that the shipped network makes of it.

Run it after a new network is published, and look at what changed:
``python tests/golden/renew.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.simulation.presets import preset_film

FILE = Path(__file__).with_name("film.npz")
ZOOM = 8


def summed(frames_adu: NDArray[np.uint16], transport: LocalTransport) -> NDArray[np.int64]:
    """The image of a small film with its margin, in units of 2^-16 emitters."""
    _, height_px, width_px = frames_adu.shape
    window = Window(ZOOM, 0, 0, height_px, width_px)
    answer = transport.sum_chunk(Request("film", *prepared(frames_adu), window))
    image: NDArray[np.int64] = answer.sums.dense(window.shape)[0]
    return image


if __name__ == "__main__":
    film = preset_film("uniform-1", seed=21, frames=12, height_px=32, width_px=32)
    network = network_file(find_model_repository(), contract.UNET.name)
    engine = LocalTransport(OnnxNetwork(network, intra_op_threads=0))
    np.savez_compressed(FILE, frames_adu=film.frames_adu, image=summed(film.frames_adu, engine))
