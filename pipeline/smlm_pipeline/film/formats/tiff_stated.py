"""Read how many planes the descriptions of a TIFF film state, and which files they name."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tifffile import TiffFile

from smlm_pipeline.film.formats.refusals import refusal

PLANES_MAX = 1 << 24
"""Most planes that a description may state: four hours at a kilohertz; tifffile lists them all."""


@dataclass(frozen=True)
class Stated:
    """Axes and lengths before Y and X, and where they are stated."""

    axes: str
    shape: tuple[int, ...]
    name: str = ""

    @property
    def count(self) -> int:
        """Number of planes."""
        return math.prod(self.shape)

    def squeezed(self) -> Stated:
        """The same without axes of length one."""
        kept = [i for i, size in enumerate(self.shape) if size > 1]
        axes, shape = "".join(self.axes[i] for i in kept), tuple(self.shape[i] for i in kept)
        return Stated(axes, shape, self.name)


def stated_planes(tif: TiffFile, seen: Stated) -> Stated:
    """The description's planes if they are more than those seen, else those seen."""
    for described in (_of_ome(tif), _of_imagej(tif), _of_summary(tif)):
        if described is not None and described.count > seen.count:
            return described.squeezed()
        if described is not None and described.count == seen.count > 1:
            return replace(seen, name=described.name)
    return seen


def check_stated(path: Path, tif: TiffFile) -> None:
    """Refuse a description that states more planes than any film has.

    Raises
    ------
    FilmError
        If it states more than ``PLANES_MAX``.
    """
    for described in (_of_ome(tif), _of_imagej(tif), _of_summary(tif)):
        if described is not None and described.count > PLANES_MAX:
            problem = f"has a description that states {described.count:,} planes"
            raise refusal(path, f"{problem}, more than {PLANES_MAX:,}", "save it again")


def ome_pixels(tif: TiffFile) -> dict[str, str]:
    """Attributes of the first Pixels element of the OME description, if any."""
    root = _ome(tif)
    return next((pixels.attrib for pixels in root.iterfind("{*}Image/{*}Pixels")), {})


def ome_channels(tif: TiffFile) -> tuple[str, ...]:
    """Names of the channels of the first image of the OME description; empty if it has none."""
    channels = _ome(tif).iterfind("{*}Image[1]/{*}Pixels/{*}Channel")
    names = tuple(channel.get("Name", "") for channel in channels)
    return names if any(names) else ()


def lost_files(path: Path, tif: TiffFile) -> list[str]:
    """Files that the OME description names and that are not beside the film's file."""
    return [name for name in named_files(tif) if not (path.parent / name).is_file()]


def named_files(tif: TiffFile) -> list[str]:
    """Files that the OME description names, in their order."""
    named = (uuid.get("FileName", "") for uuid in _ome(tif).iter() if _is_uuid(uuid))
    return [name for name in dict.fromkeys(named) if name]


def lost_part(path: Path, known: Container[str]) -> str:
    """Name of the first file of a film of Micro-Manager that is not among the known ones."""
    numbered = re.fullmatch(r"(.*_MMStack.*?)(?:_[1-9]\d*)?(\.ome\.tiff?)", path.name)
    stem, ending = numbered.groups() if numbered else (path.stem, path.suffix)
    names = (f"{stem}{f'_{number}' if number else ''}{ending}" for number in count())
    return next(name for name in names if name not in known)


def _of_ome(tif: TiffFile) -> Stated | None:
    pixels = ome_pixels(tif)
    order = pixels.get("DimensionOrder", "")[:1:-1]
    with suppress(KeyError, ValueError):
        shape = tuple(int(pixels[f"Size{axis}"]) for axis in order)
        return Stated(order, shape, "its OME description") if order else None
    return None


def _of_imagej(tif: TiffFile) -> Stated | None:
    facts = tif.imagej_metadata or {}
    lengths = {"T": facts.get("frames", 1), "Z": facts.get("slices", 1)}
    lengths["C"] = facts.get("channels", 1)
    order = str(facts.get("order", "czt")).upper()[::-1]
    if sorted(order) != ["C", "T", "Z"]:
        order = "TZC"
    with suppress(TypeError, ValueError):
        shape = tuple(int(lengths[axis]) for axis in order)
        name, images = "its ImageJ description", int(facts.get("images", 1))
        return Stated(order, shape, name) if math.prod(shape) > 1 else Stated("I", (images,), name)
    return None


def _of_summary(tif: TiffFile) -> Stated | None:
    """Planes of a Micro-Manager file whose index map is lost; a file has a single position."""
    facts: dict[str, Any] = tif.micromanager_metadata or {}
    summary = facts.get("Summary") or {}
    if facts.get("MajorVersion", 1) != 0 or "Frames" not in summary:
        return None
    axes = "TZC" if summary.get("SlicesFirst", True) else "TCZ"
    names = {"T": "Frames", "Z": "Slices", "C": "Channels"}
    with suppress(TypeError, ValueError):
        shape = tuple(int(summary.get(names[axis], 1)) for axis in axes)
        return Stated(axes, shape, "its Micro-Manager summary")
    return None


def _ome(tif: TiffFile) -> ET.Element:
    with suppress(ET.ParseError):
        return ET.fromstring(tif.ome_metadata or "<OME/>")  # noqa: S314 - as tifffile does
    return ET.Element("OME")


def _is_uuid(element: ET.Element) -> bool:
    return str(element.tag).rpartition("}")[2] == "UUID"
