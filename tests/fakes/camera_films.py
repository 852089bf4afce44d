"""Films in the formats of cameras' and microscopes' programs, written after their layouts."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from astropy.io import fits
from numpy.typing import NDArray

from fakes.microscope_films import write_czi, write_lif

Film = NDArray[Any]

SPE_TYPES = {"<f4": 0, "<i4": 1, "<i2": 2, "<u2": 3, "|u1": 6, "<u4": 8}
XML_TYPES = {"<u2": "Unsigned16", "<u4": "Unsigned32", "<f4": "Floating32"}
SIF_VERSIONS = (65538, 65559, 65567)


# --- Princeton Instruments ------------------------------------------------------------------


def _spe_header(film: Film, version: float, xml_starts: int = 0, regions: int = 1) -> bytes:
    header = bytearray(4100)
    height_px, width_px = film.shape[-2:]
    fields: list[tuple[str, int, float]] = [("<H", 42, width_px), ("<H", 656, height_px)]
    fields += [("<h", 108, SPE_TYPES[film.dtype.str]), ("<i", 1446, len(film))]
    fields += [("<h", 1510, regions), ("<f", 1992, version), ("<Q", 678, xml_starts)]
    fields += [("<I", 2996, 0x01234567), ("<H", 4098, 0x5555)]
    for kind, place, value in fields:
        struct.pack_into(kind, header, place, value)
    return bytes(header)


def write_spe2(path: Path, film: Film, regions: int = 1) -> Path:
    path = path.with_suffix(".SPE")
    path.write_bytes(_spe_header(film, 2.5, regions=regions) + film.tobytes())
    return path


def write_spe3(path: Path, film: Film, stamp_bytes: int = 16, regions: int = 1) -> Path:
    """LightField's file; each frame, of ``regions`` one after the other, ends with time stamps."""
    path = path.with_suffix(".spe")
    frames = film.reshape(-1, regions, *film.shape[-2:])
    values = b"".join(frame.tobytes() + b"\xff" * stamp_bytes for frame in frames)
    region_bytes = frames[0, 0].nbytes
    stride, size = frames[0].nbytes + stamp_bytes, frames[0].nbytes
    height_px, width_px = film.shape[-2:]
    region = (
        f'<DataBlock type="Region" count="1" width="{width_px}" height="{height_px}" '
        f'size="{region_bytes}" stride="{region_bytes}"/>'
    )
    xml = (
        '<SpeFormat version="3.0" xmlns="http://www.princetoninstruments.com/spe/2009">'
        f'<DataFormat><DataBlock type="Frame" count="{len(frames)}" size="{size}" '
        f'stride="{stride}" pixelFormat="Monochrome{XML_TYPES[film.dtype.str]}">'
        f"{region * regions}</DataBlock></DataFormat></SpeFormat>"
    )
    header = _spe_header(film, 3.0, 4100 + len(values))
    path.write_bytes(header + values + xml.encode())
    return path


# --- Andor ----------------------------------------------------------------------------------


def _sif_head(version: int) -> str:
    """What stands before the description of the frames, as the package sif_parser reads it."""
    times = "0 0.03 0.03 0.03 1 \0 0.03 1e-08 0 1 300 0 0 0 "
    text = f"Andor Technology Multi-Channel File\n65538 1\n{version} 0 0 1 1254330082 -70 "
    text += " " * 10 + times + "0 " * 16 + "0 0\nDV897_BV\n512 512 23\nC:\\65541 1 2 3 4 5 6.sif"
    text += " \n65538 12\ntwo 2\nlines\n\n65538 \x01 \x02 \x03 \x04 0 0\n"
    spectrograph = "65540 1 0 0 0 500 0 0 1200\n" * 8 + "0 Kymera\n"
    text += spectrograph if version >= 65559 else ""
    text += "0 0\n" + "0 0 0 1 0 0 0 0\n" + "0 0\n" * 8 if version > 65565 else ""
    return text + "65539 0 1 0 0\n0 1 0 0\n0 1 0 0\n0\n422\n13\n6.5\n"


def write_sif(path: Path, film: Film, version: int = 65567, subimages: int = 1) -> Path:
    """Lines of text, of which the last ones describe the frames, then float32 values."""
    path = path.with_suffix(".sif")
    frames = film.reshape(-1, subimages, *film.shape[-2:])
    height_px, width_px = film.shape[-2:]
    each = subimages * height_px * width_px
    text = _sif_head(version) + "12\nPixel number6\nCounts12\nPixel number"
    text += f"65541 1 {height_px} {width_px} 1 {len(frames)} {subimages} "
    text += f"{len(frames) * each} {each}\n"
    for index in range(subimages):
        top = (index + 1) * height_px
        text += f"65538 1 {top} {width_px} {top - height_px + 1} 1 1 0\n"
    text += "".join(f"{30000 * index}\n" for index in range(len(frames)))
    if version >= 65567:
        text += "1\n" + "".join(f"{1_000_000 + index}\n" for index in range(len(frames)))
    elif version > 65538:
        text += "0\n"
    path.write_bytes(text.encode("latin1") + film.astype("<f4").tobytes() + b"0\n0\n")
    return path


# --- Hamamatsu ------------------------------------------------------------------------------


def _dcimg_header(version: int, count: int, session: int, size_bytes: int) -> bytearray:
    header = bytearray(session)
    struct.pack_into("<8sI", header, 0, b"DCIMG", version)
    struct.pack_into("<IIIIQ", header, 0x20, 1, count, session, 0, size_bytes)
    return header


def write_dcimg_old(path: Path, film: Film, row_px: int = 0, pad_px: int = 3) -> Path:
    """Version 7: rows are padded, and four pixels of each frame are behind all frames."""
    path = path.with_suffix(".dcimg")
    count, height_px, width_px = film.shape
    stored = np.zeros((count, height_px, width_px + pad_px), film.dtype)
    stored[..., :width_px] = film
    moved = film[:, row_px, :4].copy()
    stored[:, row_px, :4] = np.array([0, 65535, 0, 65535]).astype(film.dtype)
    session, data = 232, 760
    row_bytes, image_bytes = stored[0, 0].nbytes, stored[0].nbytes
    size = film.dtype.itemsize
    session_head = bytearray(data)
    struct.pack_into("<Q", session_head, 0, data + stored.nbytes)
    fields = (count, size, 0, width_px, row_bytes, height_px, image_bytes)
    struct.pack_into("<7I", session_head, 32, *fields)
    struct.pack_into("<I", session_head, 68, data)
    struct.pack_into("<Q", session_head, 72, data + stored.nbytes)
    second, pixels = 136, 272 + 12 * count
    footer = bytearray(pixels)
    struct.pack_into("<IIQ", footer, 0, 7, 0, second)
    struct.pack_into("<I", footer, 40, pixels + moved.nbytes)
    struct.pack_into("<Q", footer, second + 88, pixels)
    struct.pack_into("<I", footer, second + 100, row_px * row_bytes)
    head = _dcimg_header(7, count, session, 0)
    path.write_bytes(bytes(head + session_head) + stored.tobytes() + footer + moved.tobytes())
    return path


def write_dcimg(path: Path, film: Film, top_px: int = 1020, moves: bool = True) -> Path:
    """The newer version: pixels of row 1023 of the sensor are behind each frame."""
    path = path.with_suffix(".dcimg")
    count, height_px, width_px = film.shape
    session, data, row = 232, 784, 1023 - top_px
    foot_bytes = 32 if moves else 16
    head = bytearray(data)
    fields = (count, film.dtype.itemsize, 0, width_px, height_px, film[0, 0].nbytes, film[0].nbytes)
    struct.pack_into("<7I", head, 60, *fields)
    struct.pack_into("<Q", head, 96, data)
    struct.pack_into("<I", head, 116, film[0].nbytes + foot_bytes)
    struct.pack_into("<4H", head, 712, 0, width_px, top_px, height_px)
    values: list[bytes] = []
    for index, frame in enumerate(film):
        stored, foot = frame.copy(), bytearray(foot_bytes)
        struct.pack_into("<III", foot, 0, index, 1, 2)
        if moves and 0 <= row < height_px:
            foot[12 : 12 + 4 * film.dtype.itemsize] = frame[row, :4].tobytes()
            stored[row, :4] = np.array([0, 65535, 0, 65535]).astype(film.dtype)
        values.append(stored.tobytes() + bytes(foot))
    path.write_bytes(bytes(_dcimg_header(0x1000000, count, session, 0) + head) + b"".join(values))
    return path


# --- HDF5, FITS, MetaMorph ------------------------------------------------------------------


def characters(value: object) -> NDArray[np.bytes_]:
    """An attribute as Imaris stores it."""
    return np.frombuffer(str(value).encode(), "S1")


def write_imaris(path: Path, film: Film, block: tuple[int, int, int] = (1, 16, 16)) -> Path:
    """Time points, channels and planes in z; rows and columns are filled up to whole blocks."""
    path = path.with_suffix(".ims")
    frames = film.reshape(len(film), *(1,) * (5 - film.ndim), *film.shape[1:])  # T,C,Z,Y,X
    sizes = frames.shape[2:]
    padded = [-(-size // side) * side for size, side in zip(sizes, block, strict=True)]
    with h5py.File(path, "w") as file:
        for (time, channel), data in _each(frames):
            group = file.create_group(
                f"DataSet/ResolutionLevel 0/TimePoint {time}/Channel {channel}"
            )
            for axis, size in zip("ZYX", sizes, strict=True):
                group.attrs[f"ImageSize{axis}"] = characters(size)
            filled = np.zeros(padded, film.dtype)
            filled[tuple(slice(size) for size in sizes)] = data
            group.create_dataset("Data", data=filled, chunks=block, compression="gzip")
        image = file.create_group("DataSetInfo/Image").attrs
        image["X"], image["Y"], image["Z"] = (characters(size) for size in sizes[::-1])
        image["ExtMin0"], image["ExtMax0"] = characters("1.000"), characters(1 + sizes[2] * 0.1)
        image["Unit"] = characters("um")
        info = file.create_group("DataSetInfo/TimeInfo").attrs
        info["DatasetTimePoints"] = info["FileTimePoints"] = characters(len(frames))
    return path


def _each(frames: Film) -> list[tuple[tuple[int, int], Film]]:
    times, channels = frames.shape[:2]
    return [((t, c), frames[t, c]) for t in range(times) for c in range(channels)]


def write_hdf5(path: Path, film: Film, name: str = "data/film", **options: Any) -> Path:
    path = path.with_suffix(".H5")
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=film, **options)
    return path


def write_fits(
    path: Path, film: Film, compressed: bool = False, tile: tuple[int, ...] | None = None
) -> Path:
    path = path.with_suffix(".fits")
    header = fits.Header({"CDELT1": 0.1, "CUNIT1": "um"})
    image = fits.PrimaryHDU(film, header)
    if compressed:
        options = {"compression_type": "GZIP_1", "quantize_level": 0, "tile_shape": tile}
        image = fits.CompImageHDU(film, header, **options)
    images = [fits.PrimaryHDU(), image] if compressed else [image]
    fits.HDUList(images).writeto(path)
    return path


def write_fits_compressed(path: Path, film: Film) -> Path:
    return write_fits(path, film, compressed=True)


def write_stk(path: Path, film: Film, step_um: int = 0) -> Path:
    """MetaMorph's TIFF: one page for the first plane; its own tags count the planes."""
    path = path.with_suffix(".stk")
    (count, height_px, width_px), bits = film.shape, 8 * film.itemsize
    texts, planes, values = 512, 1024, 1024 + 24 * len(film)
    numbers = [4, texts + 100, 6, texts + 120]  # X calibration, 1/10, and its unit, um
    tags = [(256, 4, 1, width_px), (257, 4, 1, height_px), (258, 3, 1, bits), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 1), (273, 4, 1, values), (277, 3, 1, 1), (278, 4, 1, height_px)]
    tags += [(279, 4, 1, film[0].nbytes), (33628, 4, 2, texts), (33629, 5, count, planes)]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    text = struct.pack("<4I", *numbers).ljust(100, b"\0") + struct.pack("<2I12x", 1, 10)
    text += struct.pack("<I3s", 3, b"um\0")
    times = [(step_um, 1, 2451545, 30 * index, 2451545, 0) for index in range(count)]
    stamps = b"".join(struct.pack("<6I", *time) for time in times)
    path.write_bytes(head.ljust(texts, b"\0") + text.ljust(512, b"\0") + stamps + film.tobytes())
    return path


def write_lsm(path: Path, film: Film) -> Path:
    """Zeiss' TIFF: a thumbnail follows each plane, and a tag describes the axes."""
    path = path.with_suffix(".lsm")
    about = np.zeros(1, np.dtype([(name, f"<{kind}") for name, kind in tifffile.TIFF.CZ_LSMINFO]))
    about["MagicNumber"], about["StructureSize"], about["ScanType"] = 0x0400494C, about.nbytes, 3
    about["DimensionX"], about["DimensionY"] = film.shape[2], film.shape[1]
    about["DimensionZ"], about["DimensionChannels"], about["DimensionTime"] = 1, 1, len(film)
    about["VoxelSizeX"] = about["VoxelSizeY"] = 1e-7
    tags = [(34412, 1, about.nbytes, about.tobytes(), True)]
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for frame in film:
            options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
            tif.write(frame, extratags=tags, **options)
            tif.write(frame[::2, ::2].astype(np.uint8), subfiletype=1, **options)
            tags = []
    return path


CAMERA_WRITERS: dict[str, Callable[[Path, Film], Path]] = {
    "spe 2": write_spe2,
    "spe 3": write_spe3,
    "sif": write_sif,
    "dcimg": write_dcimg,
    "dcimg old": write_dcimg_old,
    "ims": write_imaris,
    "hdf5": write_hdf5,
    "fits": write_fits,
    "fits compressed": write_fits_compressed,
    "stk": write_stk,
    "lsm": write_lsm,
    "czi": write_czi,
    "lif": write_lif,
}
