"""The pictures of a page: the image and its wide field alike, and the error map in two colours."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smlm_pipeline.output.picture import coloured, draw_picture
from smlm_pipeline.output.picture_style import PictureStyle
from smlm_pipeline.output.pyramid import Rows
from smlm_pipeline.resolution.error_map import ErrorMap

EDGE_MOST_PX = 1280
"""Longest edge of the two pictures that are compared by the slider."""

_MAP_EDGE_LEAST_PX = 320
"""A narrower map is enlarged by a whole factor."""

_WHITE_PERCENTILE, _BLACK_PERCENTILE = 99.8, 1.0
_ENDS_PERCENTILE, _ENDS_LEAST = 99.5, 0.1
"""The strongest colours of the error map stand for this percentile of it, or for this share of the
range of the wide field if that is more: small errors are pale."""

_LACKS, _ADDS = np.array([202, 32, 32]), np.array([16, 78, 180])
"""Red where the image lacks light, blue where it shows molecules without light; white is none."""


@dataclass(frozen=True)
class Pictures:
    """Pictures as data addresses, and what their colours stand for.

    ``image`` and ``wide_field`` have the same size and scale bar. ``seen``, ``model`` and
    ``difference`` are the wide field, the image blurred back and the error map in camera pixels;
    ``ends_adu`` is the value of the strongest colours of the error map, and ``light_adu`` those of
    black and white of the other two. ``both`` is the picture of two channels, if there are two.
    """

    image: str
    wide_field: str
    size_px: tuple[int, int]
    image_limits: tuple[float, float]
    seen: str
    model: str
    difference: str
    light_adu: tuple[float, float]
    ends_adu: float
    both: str = ""


def pictures_of(
    image: Rows,
    found: ErrorMap,
    *,
    sr_pixel_size_nm: float,
    style: PictureStyle,
    both: Image.Image | None = None,
) -> Pictures:
    """Draw all pictures of a page.

    Parameters
    ----------
    image : Rows, shape (zoom Y, zoom X), float32
        The SR image.
    found : ErrorMap
        Its comparison with the wide field, in ADU.
    sr_pixel_size_nm : float
        Edge of an SR pixel.
    style : PictureStyle
        Colours and contrast of the SR image.
    both : Image, optional
        The picture of two channels.
    """
    drawn = draw_picture(
        image, sr_pixel_size_nm=sr_pixel_size_nm, edge_max_px=EDGE_MOST_PX, style=style
    )
    low, high = np.percentile(found.wide_field, (_BLACK_PERCENTILE, _WHITE_PERCENTILE)).tolist()
    light_adu = (low, high if high > low else low + 1)
    wide = _grey(found.wide_field, light_adu).resize(drawn.field_px, Image.Resampling.BICUBIC)
    wide_field = coloured(wide, style, drawn.pixel_nm)
    largest_adu = np.nanpercentile(np.abs(found.difference), _ENDS_PERCENTILE)
    ends_adu = max(float(largest_adu), _ENDS_LEAST * (light_adu[1] - light_adu[0]))
    return Pictures(
        image=_address(drawn.picture),
        wide_field=_address(wide_field),
        size_px=drawn.picture.size,
        image_limits=drawn.limits,
        seen=_address(_enlarged(_grey(found.wide_field, light_adu))),
        model=_address(_enlarged(_grey(found.model, light_adu))),
        difference=_address(_enlarged(_two_coloured(found.difference, ends_adu))),
        light_adu=light_adu,
        ends_adu=ends_adu,
        both="" if both is None else _address(both),
    )


def _grey(values: NDArray[np.float32], limits: tuple[float, float]) -> Image.Image:
    low, high = limits
    shares = np.clip((values - low) / (high - low), 0, 1)
    return Image.fromarray(np.rint(255 * shares).astype(np.uint8))


def _two_coloured(values: NDArray[np.float32], ends: float) -> Image.Image:
    """White at 0, red above and blue below; grey where there is no number."""
    share = np.clip(np.nan_to_num(values) / ends, -1, 1)[..., None]
    colour = 255 - np.abs(share) * (255 - np.where(share > 0, _LACKS, _ADDS))
    colour[np.isnan(values)] = 160
    return Image.fromarray(np.rint(colour).astype(np.uint8))


def _enlarged(picture: Image.Image) -> Image.Image:
    """By a whole factor, so that each camera pixel stays a square."""
    factor = max(math.ceil(_MAP_EDGE_LEAST_PX / picture.width), 1)
    size = picture.width * factor, picture.height * factor
    return picture.resize(size, Image.Resampling.NEAREST)


def _address(picture: Image.Image) -> str:
    """The picture as a PNG in a data address."""
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=5)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
