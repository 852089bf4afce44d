"""Films in Zeiss' and Leica's formats, written after their layouts."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Film = NDArray[Any]


# --- Zeiss ----------------------------------------------------------------------------------


def _segment(name: bytes, data: bytes) -> bytes:
    return struct.pack("<16sqq", name, len(data), len(data)) + data


def _entry(
    pixel_type: int, start: int, compression: int, sizes: Mapping[str, tuple[int, int]]
) -> bytes:
    head = (b"DV", pixel_type, start, 0, compression, 0, 0, b"\0" * 4, len(sizes))
    entry = struct.pack("<2siqiiBB4si", *head)
    for letter, (first, size) in sizes.items():
        entry += struct.pack("<4siifi", letter.encode(), first, size, float(first), size)
    return entry


def _zstd_headed(tile: Film) -> bytes:
    """Zstandard as ZEN writes it: a header of 3 bytes, low bytes before high ones."""
    if tile.itemsize != 2:
        return b"\x01" + bytes(imagecodecs.zstd_encode(tile.tobytes()))
    halves = np.frombuffer(tile.tobytes(), np.uint8).reshape(-1, 2).T.tobytes()
    return b"\x03\x01\x01" + bytes(imagecodecs.zstd_encode(halves))


CZI_CODES: dict[str, tuple[int, Callable[[Film], bytes]]] = {
    "raw": (0, lambda tile: tile.tobytes()),
    "lzw": (2, lambda tile: bytes(imagecodecs.lzw_encode(tile.tobytes()))),
    "jpeg xr": (4, lambda tile: bytes(imagecodecs.jpegxr_encode(tile, level=1.0))),
    "zstd": (5, lambda tile: bytes(imagecodecs.zstd_encode(tile.tobytes()))),
    "zstd in halves": (6, _zstd_headed),
}


def write_czi(
    path: Path,
    film: Film,
    axes: str = "T",
    code: str = "zstd in halves",
    tile_px: int | None = None,
    stated: int | None = None,
) -> Path:
    """Blocks of one plane, or of its tiles of ``tile_px`` columns, from pixel 1000, 2000 on."""
    path = path.with_suffix(".czi")
    pixel_type = {"|u1": 0, "<u2": 1, "<f4": 2}[film.dtype.str]
    compression, encode = CZI_CODES[code]
    height_px, width_px = film.shape[-2:]
    step = tile_px or width_px
    head_bytes = 32 + 512
    segments: list[bytes] = []
    entries: list[bytes] = []
    place_bytes = head_bytes
    for place in np.ndindex(film.shape[:-2]):
        indices = dict(zip(axes, place, strict=True))
        for mosaic, left in enumerate(range(0, width_px, step)):
            tile = np.ascontiguousarray(film[place][:, left : left + step])
            sizes = {"X": (2000 + left + 500 * indices.get("S", 0), tile.shape[1])}
            sizes |= {"Y": (1000, height_px)}
            sizes |= {letter: (index + 3 * (letter == "Z"), 1) for letter, index in indices.items()}
            sizes |= {"M": (mosaic, 1)} if tile_px else {}
            entry = _entry(pixel_type, place_bytes, compression, sizes)
            data, metadata = encode(tile), b"<METADATA/>"
            block = struct.pack("<iiq", len(metadata), 0, len(data)) + entry
            block += bytes(max(0, 240 - len(entry))) + metadata + data
            segments.append(_segment(b"ZISRAWSUBBLOCK", block))
            place_bytes += len(segments[-1])
            entries.append(entry)
    directory, listed = place_bytes, struct.pack("<i124x", len(entries)) + b"".join(entries)
    body = b"".join(segments) + _segment(b"ZISRAWDIRECTORY", listed)
    size_t = film.shape[axes.index("T")] if "T" in axes else 1
    xml = (
        f"<ImageDocument><Metadata><Information><Image><SizeT>{stated or size_t}</SizeT>"
        "<AcquisitionDateAndTime>2024-02-29T12:00:05.1234567Z</AcquisitionDateAndTime></Image>"
        '</Information><Scaling><Items><Distance Id="X"><Value>1e-07</Value></Distance></Items>'
        "</Scaling></Metadata></ImageDocument>"
    ).encode()
    metadata_starts = head_bytes + len(body)
    body += _segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(xml), 0) + xml)
    head = struct.pack("<iiii32siqqiq", 1, 0, 0, 0, b"", 0, directory, metadata_starts, 0, 0)
    path.write_bytes(_segment(b"ZISRAWFILE", head.ljust(512, b"\0")) + body)
    return path


# --- Leica ----------------------------------------------------------------------------------


def _lif_image(name: str, film: Film, axes: str, block: int) -> str:
    ids = {"X": 1, "Y": 2, "Z": 3, "T": 4, "P": 10}
    steps = dict(zip(axes + "YX", film.strides, strict=True))
    dimensions = "".join(
        f'<DimensionDescription DimID="{ids[letter]}" NumberOfElements="{size}" Origin="0" '
        f'Length="{(size - 1) * 1e-7}" Unit="m" BytesInc="{steps[letter]}" BitInc="0"/>'
        for letter, size in zip(axes + "YX", film.shape, strict=True)
        if letter != "C"
    )
    count = film.shape[axes.index("C")] if "C" in axes else 1
    kind = int(film.dtype.kind == "f")
    channels = "".join(
        f'<ChannelDescription DataType="{kind}" ChannelTag="0" Resolution="{8 * film.itemsize}" '
        'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName="Grey" IsLUTInverted="0" '
        f'BytesInc="{index * steps.get("C", 0)}" BitInc="0"/>'
        for index in range(count)
    )
    return (
        f'<Element Name="{name}" UniqueID="{name}"><Data><Image><ImageDescription><Channels>'
        f"{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
        '<TimeStampList NumberOfTimeStamps="2">1da6b06d518d080 1da6b06d52812c0</TimeStampList>'
        "</Image>"
        f'</Data><Memory Size="{film.nbytes}" MemoryBlockID="MemBlock_{block}"/></Element>'
    )


def write_lif_images(path: Path, images: Mapping[str, tuple[str, Film]]) -> Path:
    """Images by their names, each with its axes before YX; a block of memory for each."""
    path = path.with_suffix(".LIF")
    elements = "".join(
        _lif_image(name, film, axes, block)
        for block, (name, (axes, film)) in enumerate(images.items())
    )
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="film.lif"><Children>{elements}'
        "</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    data = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for block, (_, film) in enumerate(images.values()):
        name = f"MemBlock_{block}".encode("utf-16-le")
        data += struct.pack("<IIBQBI", 0x70, 0, 0x2A, film.nbytes, 0x2A, len(name) // 2) + name
        data += film.tobytes()
    path.write_bytes(data)
    return path


def write_lif(path: Path, film: Film, axes: str = "T") -> Path:
    return write_lif_images(path, {"Series001": (axes, film)})
