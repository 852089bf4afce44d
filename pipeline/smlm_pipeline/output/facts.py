"""The facts of an image that its file states, whatever the format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CHANNEL_COLOURS = ((0, 255, 0), (255, 0, 255))
"""Red, green and blue of the first and of the second channel: where both are, white."""

VALUE_UNIT = "expected number of emitters per SR pixel"
"""Unit of an image's values, unless its provenance states another."""

NAMESPACE = "smlm-recon/provenance"
"""Namespace of the annotation with the facts."""


@dataclass(frozen=True)
class ImageFacts:
    """The facts of an image.

    Attributes
    ----------
    sr_pixel_size_nm : float
        Edge of an SR pixel.
    provenance : Mapping
        How the image was made: settings, hashes, versions; values that JSON cannot express become
        text.
    name : str
        Name of the image, that of its film.
    acquired : str or None
        When the film was taken, as ISO 8601.
    channel : str
        Name of the channel.
    channels : tuple of str
        Names of the channels, where the image has several.
    """

    sr_pixel_size_nm: float
    provenance: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    acquired: str | None = None
    channel: str = ""
    channels: tuple[str, ...] = ()

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The name of each channel; ``molecules`` where nothing is known of the only one."""
        return self.channels or (self.channel or "molecules",)

    def as_dict(self) -> dict[str, Any]:
        """The provenance and the values' unit, of values that JSON knows."""
        facts: dict[str, Any] = json.loads(self.as_json())
        return facts

    def as_json(self) -> str:
        """The provenance and the values' unit as JSON."""
        return json.dumps({"value": VALUE_UNIT, **self.provenance}, default=_plain)

    def as_pairs(self) -> Iterator[tuple[str, str]]:
        """The provenance as pairs of text; nested names have dots: ``settings.zoom``, ``8``."""
        return _pairs(self.as_dict(), "")


def _pairs(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _pairs(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, str):
        yield name, value
    else:
        yield name, json.dumps(value)


def _plain(value: object) -> object:
    """Stand-in for a provenance value that JSON does not know."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)
