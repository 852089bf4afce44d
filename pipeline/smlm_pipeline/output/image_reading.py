"""Reads SR images back from TIFF files, ours and others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.damage import DAMAGE
from smlm_pipeline.errors import FilmError, SettingError

ENDINGS = (".tif", ".tiff")
"""Endings of the names of images."""

_UNITS_NM = {"nm": 1.0, "µm": 1e3, "um": 1e3, "mm": 1e6}


@dataclass(frozen=True)
class ReadImage:
    """Pixels (Y, X) float32, the edge of one in nm, and whether this program has refined them."""

    pixels: NDArray[np.float32]
    sr_pixel_nm: float
    refined: bool = False


def read_image(path: Path, sr_pixel_nm: float | None = None) -> ReadImage:
    """Read the image of a file.

    Parameters
    ----------
    path : Path
        A TIFF of one plane.
    sr_pixel_nm : float, optional
        Edge of a pixel, in place of what OME's metadata state.

    Raises
    ------
    FilmError
        If it cannot be read, or is not one plane of numbers.
    SettingError
        If the pixel size is neither given nor stated.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            pixels, stated_nm, refined = tif.asarray(), _stated_nm(tif), _is_refined(tif)
    except FileNotFoundError as error:
        raise FilmError(f"there is no image {path}; expected an existing file") from error
    except (*DAMAGE, OSError, tifffile.TiffFileError) as error:
        raise FilmError(
            f"{path} cannot be read as an image; expected a TIFF of one plane: copy or export it "
            "again"
        ) from error
    if pixels.ndim != 2 or min(pixels.shape) < 16 or pixels.dtype.kind not in "uif":
        raise FilmError(
            f"{path} has {pixels.dtype} of shape {pixels.shape}; expected one plane of at least "
            "16 x 16 numbers"
        )
    edge_nm = sr_pixel_nm or stated_nm
    if edge_nm is None:
        raise SettingError(
            f"{path} does not state its pixel size; expected --sr-pixel-nm with the edge of a "
            "pixel of the image"
        )
    return ReadImage(np.nan_to_num(pixels.astype(np.float32)), edge_nm, refined)


def _is_refined(tif: tifffile.TiffFile) -> bool:
    """Whether an image of this program states that it is refined."""
    try:
        stated = json.loads(_image_of(tif).get("Description", ""))
        return bool(stated["refinement"]["steps"])
    except (ValueError, TypeError, LookupError):
        return False


def _image_of(tif: tifffile.TiffFile) -> Any:
    """OME's metadata of the first image; empty where there are none."""
    if not tif.ome_metadata:
        return {}
    image: Any = tifffile.xml2dict(tif.ome_metadata)["OME"].get("Image", {})
    return image[0] if isinstance(image, list) else image


def _stated_nm(tif: tifffile.TiffFile) -> float | None:
    """The pixel size of OME's metadata, if there are any."""
    pixels = _image_of(tif).get("Pixels", {})
    unit = _UNITS_NM.get(str(pixels.get("PhysicalSizeXUnit", "µm")))
    if unit is None or "PhysicalSizeX" not in pixels:
        return None
    return float(pixels["PhysicalSizeX"]) * unit
