"""The networks, by name: each a function that builds a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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

MAP_NETWORKS = frozenset({"unet-map", "unet-interpolated", "deep-storm", "fid-storm"})
"""Those that answer with a map; the others answer with detections."""

_ANY_SIZE = frozenset({"unet-interpolated", "deep-storm", "fid-storm"})
"""Those that pool no camera pixels."""


@dataclass(frozen=True)
class Kind:
    """What a network answers, and which frames it takes.

    ``answers`` is "detections", (N, H, W, 5) in the contract's channels, or
    "map", (N, zoom H, zoom W, 1) in emitters per fine pixel. Edges of its frames
    are multiples of ``size_multiple_px``.
    """

    answers: Literal["detections", "map"]
    zoom: int
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
    if name in MAP_NETWORKS:
        return Kind("map", contract.MAP_ZOOM, multiple_px)
    return Kind("detections", 1, multiple_px)
