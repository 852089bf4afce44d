"""The networks, by name: each a function that builds a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_training.networks.deep_storm import deep_storm
from smlm_training.networks.fid_storm import fid_storm
from smlm_training.networks.unet import unet
from smlm_training.networks.unet_fast import unet_fast
from smlm_training.networks.unet_interpolated import unet_interpolated
from smlm_training.networks.unet_map import unet_map

NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "unet": unet,
    "unet-fast": unet_fast,
    "unet-map": unet_map,
    "unet-interpolated": unet_interpolated,
    "deep-storm": deep_storm,
    "fid-storm": fid_storm,
}
"""Builders by the name that a preset takes. All are given the contract's
``NORMALIZED_CHANNELS``; those as published read the frame only."""

_MAP_NETWORKS = frozenset({"unet-map", "unet-interpolated", "deep-storm", "fid-storm"})
"""Those that answer with a map; the others answer with detections."""

_ANY_SIZE = frozenset({"unet-interpolated", "deep-storm", "fid-storm"})
"""Those that pool no camera pixels."""


@dataclass(frozen=True)
class Kind:
    """What a network answers, and which frames it takes.

    A Keras model answers with (N, zoom H, zoom W, channels). Edges of its frames are
    multiples of ``size_multiple_px``.
    """

    answer: contract.Answer
    size_multiple_px: int


def kind_of(name: str) -> Kind:
    """What the network of this name answers.

    Raises
    ------
    SettingError
        If there is no such network.
    """
    if name not in NETWORKS:
        raise SettingError(f"no network is called {name}; expected one of {', '.join(NETWORKS)}")
    multiple_px = 1 if name in _ANY_SIZE else contract.SIZE_MULTIPLE_PX
    makes_maps = name in _MAP_NETWORKS
    return Kind(contract.MAP_ANSWER if makes_maps else contract.DETECTION_ANSWER, multiple_px)
