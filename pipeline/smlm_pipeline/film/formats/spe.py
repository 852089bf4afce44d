"""Read Princeton Instruments' SPE films: version 2 (WinView) and version 3 (LightField).

Both begin with the same header; version 3 adds an XML description behind the frames. imageio
also reads them, but takes time stamps between the frames of version 3 for pixels. Layout after
the vendor's "SPE 3.0 File Format Specification", which lists the header of version 2 too.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from smlm_pipeline.film.formats.flat import FlatSource, Layout
from smlm_pipeline.film.formats.refusals import AGAIN, refusal
from smlm_pipeline.film.formats.source import Gaps

_HEADER_BYTES = 4100
_TYPES = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "u1", 8: "<u4"}
_XML_TYPES = {
    "MonochromeUnsigned16": "<u2",
    "MonochromeUnsigned32": "<u4",
    "MonochromeFloating32": "<f4",
}
_WINVIEW_PLACE, _WINVIEW = 2996, 0x01234567
_EXPORT = "export the film as TIFF in LightField or WinView"


def is_spe(path: Path) -> bool:
    """Whether the name ends in .spe, or the header has the mark of the vendor's programs."""
    if path.suffix.lower() == ".spe":
        return True
    with path.open("rb") as file:
        file.seek(_WINVIEW_PLACE)
        return file.read(4) == _WINVIEW.to_bytes(4, "little")


def open_spe(path: Path) -> FlatSource:
    """Open an SPE film.

    Raises
    ------
    FilmError
        If the header is cut short, or the film has regions of different size.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise refusal(path, f"is cut short: its header has {len(header)} bytes of 4100", AGAIN)
    (version,) = struct.unpack_from("<f", header, 1992)
    (xml_starts,) = struct.unpack_from("<Q", header, 678)
    if version >= 3 and xml_starts:
        root = _description(path, xml_starts)
        layout = _of_header(path, header, xml_starts) if root is None else _of_version_3(path, root)
        end_byte = xml_starts
    else:
        layout, end_byte = _of_header(path, header, None), None
        held, counted = _frames_in(path, layout), layout.shape[0]
        if held > counted:  # some programs do not count what a stopped acquisition wrote
            source = FlatSource(path, replace(layout, shape=(held, *layout.shape[1:])))
            reason = f"holds {held} frames, but its header counts {counted}"
            source.gaps = Gaps(np.arange(held), reason, _EXPORT, "more")
            return source
    return FlatSource(path, layout, end_byte)


def _frames_in(path: Path, layout: Layout) -> int:
    """Frames that the file holds, whatever its header counts."""
    possible = min(*layout.shape[1:], *layout.strides_bytes) > 0
    return layout.frames_in(path.stat().st_size) if possible else 0


def _of_header(path: Path, header: bytes, xml_starts: int | None) -> Layout:
    """The layout of version 2, and of version 3 where the XML behind the frames is cut off."""
    (width_px,), (height_px,) = (struct.unpack_from("<H", header, at) for at in (42, 656))
    (kind,), (regions,) = (struct.unpack_from("<h", header, at) for at in (108, 1510))
    (count,) = struct.unpack_from("<i", header, 1446)
    if kind not in _TYPES:
        raise refusal(path, f"holds values of the unknown type {kind}", _EXPORT)
    if regions > 1:
        raise refusal(path, f"holds {regions} regions of the camera", _EXPORT)
    dtype = np.dtype(_TYPES[kind])
    row_bytes = width_px * dtype.itemsize
    frame_bytes = row_bytes * height_px
    if xml_starts:
        stride_bytes, rest = divmod(xml_starts - _HEADER_BYTES, max(count, 1))
        if rest or stride_bytes < frame_bytes:
            raise refusal(path, "is cut short: it lacks its XML description", AGAIN)
        frame_bytes = stride_bytes
    shape = (count, height_px, width_px)
    return Layout("TYX", shape, (frame_bytes, row_bytes), _HEADER_BYTES, dtype)


def _description(path: Path, xml_starts: int) -> ET.Element | None:
    """The XML behind the frames; None if it is cut off."""
    with path.open("rb") as file:
        file.seek(xml_starts)
        text = file.read()
    try:
        return ET.fromstring(text)  # noqa: S314 - expat limits the growth of entities
    except ET.ParseError:
        return None


def _of_version_3(path: Path, root: ET.Element) -> Layout:
    try:
        frames = root.find("{*}DataFormat/{*}DataBlock[@type='Frame']")
        regions = [] if frames is None else frames.findall("{*}DataBlock[@type='Region']")
        sizes = {tuple(int(region.attrib[at]) for at in ("height", "width")) for region in regions}
        region_strides = {int(region.attrib["stride"]) for region in regions}
        if frames is None or not regions:
            raise refusal(path, "describes no frames in its XML", AGAIN)
        count, stride = int(frames.attrib["count"]), int(frames.attrib["stride"])
        kind = frames.attrib["pixelFormat"]
    except (KeyError, ValueError) as error:
        raise refusal(path, f"is cut short or damaged in its XML ({error!r})", AGAIN) from error
    if kind not in _XML_TYPES:
        raise refusal(path, f"holds values of the unknown type {kind}", _EXPORT)
    if len(sizes) > 1 or len(region_strides) > 1:
        raise refusal(path, f"holds {len(regions)} regions that differ in size", _EXPORT)
    (height_px, width_px), dtype = min(sizes), np.dtype(_XML_TYPES[kind])
    row_bytes = width_px * dtype.itemsize
    shape, strides = (count, len(regions), height_px, width_px), (stride, *region_strides)
    return Layout("TPYX", shape, (*strides, row_bytes), _HEADER_BYTES, dtype)
