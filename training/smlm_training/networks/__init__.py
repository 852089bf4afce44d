"""The networks by name: functions that build a Keras model, and the kind of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_training.networks.deep_storm import deep_storm
from smlm_training.networks.fid_storm import fid_storm
from smlm_training.networks.unet import unet, unet_fast
from smlm_training.networks.unet_map import unet_interpolated, unet_map

NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "unet": unet,
    "unet-fast": unet_fast,
    "unet-map": unet_map,
    "unet-interpolated": unet_interpolated,
    "deep-storm": deep_storm,
    "fid-storm": fid_storm,
}
"""Builders by the name in a preset; all read the contract's ``NORMALIZED``."""


@dataclass(frozen=True)
class Kind:
    """The answer of a network, and the frames that it takes.

    A Keras model answers with (N, zoom H, zoom W, channels). Edges of its frames are
    multiples of ``size_multiple_px``: 1 for networks that pool no camera pixels.
    """

    answer: contract.Answer
    size_multiple_px: int


_KINDS = {
    "unet": Kind(contract.DETECTION_ANSWER, contract.SIZE_MULTIPLE_PX),
    "unet-fast": Kind(contract.DETECTION_ANSWER, contract.SIZE_MULTIPLE_PX),
    "unet-map": Kind(contract.MAP_ANSWER, contract.SIZE_MULTIPLE_PX),
    "unet-interpolated": Kind(contract.MAP_ANSWER, 1),
    "deep-storm": Kind(contract.MAP_ANSWER, 1),
    "fid-storm": Kind(contract.MAP_ANSWER, 1),
}


def kind_of(name: str) -> Kind:
    """The kind of the network of this name.

    Raises
    ------
    SettingError
        If there is no such network.
    """
    if name not in _KINDS:
        raise SettingError(f"no network is called {name}; expected one of {', '.join(_KINDS)}")
    return _KINDS[name]
