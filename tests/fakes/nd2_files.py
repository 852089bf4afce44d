"""ND2 files of version 3, as small as the package nd2 reads them; there is no writer for tests."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAGIC = 0x0ABECEDA
_TIME_LOOP = 1
_TIMES = {"dStart": 0.0, "dPeriod": 10.0, "dDuration": 0.0, "dMinPeriodDiff": 0.0}
_TIMES |= {"dMaxPeriodDiff": 0.0, "dAvgPeriodDiff": 0.0}


def write_nd2(
    path: Path,
    frames: NDArray[np.uint16],
    *,
    pixel_um: float = 0.1,
    lacking: Collection[int] = (),
    julian_day: float = -1.0,
) -> None:
    """A time series, shape (T, Y, X) or (T, C, Y, X), of uint16; some frames are not written.

    ``julian_day`` is when it begins, in UTC; -1 is what files without a date state.
    """
    by_frame = frames[:, None] if frames.ndim == 3 else frames
    count, channels, height, width = by_frame.shape
    attributes = {
        "uiWidth": width,
        "uiWidthBytes": 2 * width * channels,
        "uiHeight": height,
        "uiComp": channels,
        "uiBpcInMemory": 16,
        "uiBpcSignificant": 16,
        "uiSequenceCount": count,
        "eCompression": 2,
    }
    probe = {"m_ExcitationSpectrum": {"uiCount": 0}, "m_EmissionSpectrum": {"uiCount": 0}}
    plane = {"uiCompCount": 1, "uiSampleIndex": 0, "pFluorescentProbe": probe}
    planes = {f"a{index}": plane for index in range(channels)}
    picture = {
        "dTimeAbsolute": julian_day,
        "dCalibration": pixel_um,
        "bCalibrated": True,
        "sPicturePlanes": {"uiCount": channels, "uiCompCount": channels, "sPlaneNew": planes},
    }
    loop = {"eType": _TIME_LOOP, "uLoopPars": _TIMES | {"uiCount": count}}
    chunks = {
        "ImageAttributesLV!": _level("SLxImageAttributes", attributes),
        "ImageMetadataSeqLV|0!": _level("SLxPictureMetadata", picture),
        "ImageMetadataLV!": _level("SLxExperiment", loop),
    }
    for index, frame in enumerate(by_frame):
        if index in lacking:
            continue
        pixels = np.ascontiguousarray(frame.transpose(1, 2, 0), "<u2").tobytes()
        chunks[f"ImageDataSeq|{index}!"] = struct.pack("<d", index) + pixels
    path.write_bytes(_file(chunks))


def _file(chunks: dict[str, bytes]) -> bytes:
    start = struct.pack(
        "<IIQ32s64s", _MAGIC, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0"
    )
    data, places = bytearray(start), b""
    for name, content in chunks.items():
        places += name.encode() + struct.pack("<QQ", len(data), len(content))
        # pixels begin 4096 bytes after their chunk, a time stamp before them
        reserved = 4072 if name.startswith("ImageDataSeq") else 32
        data += struct.pack(f"<IIQ{reserved}s", _MAGIC, reserved, len(content), name.encode())
        data += content
    places += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(data))
    head = struct.pack("<IIQ32s", _MAGIC, 32, len(places), b"ND2 FILEMAP SIGNATURE NAME 0001!")
    return bytes(data) + head + places


def _level(name: str, values: Mapping[str, object]) -> bytes:
    """A level of Nikon's binary variant: type, name, count, length, items, their offsets."""
    items = b"".join(_item(key, value) for key, value in values.items())
    head = _name(11, name)
    length = len(head) + 12 + len(items)
    return head + struct.pack("<IQ", len(values), length) + items + bytes(8 * len(values))


def _item(name: str, value: object) -> bytes:
    if isinstance(value, Mapping):
        return _level(name, value)
    if isinstance(value, bool):
        return _name(1, name) + struct.pack("<B", value)
    if isinstance(value, int):
        return _name(3, name) + struct.pack("<I", value)
    if isinstance(value, float):
        return _name(6, name) + struct.pack("<d", value)
    raise TypeError(f"{name} is a {type(value).__name__}; expected a mapping, bool, int or float")


def _name(kind: int, name: str) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    return struct.pack("<BB", kind, len(text) // 2) + text
