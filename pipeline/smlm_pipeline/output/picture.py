"""Writes the SR image as a PNG in colours and with a scale bar, for the eye."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from smlm_pipeline.atomic_files import written_whole
from smlm_pipeline.output.colour_bar import with_colour_bar
from smlm_pipeline.output.facts import CHANNEL_COLOURS
from smlm_pipeline.output.micro_sign import MICRO, drawable, pieces_of
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle
from smlm_pipeline.output.pyramid import BAND_BYTES, Rows, bands

PICTURE_EDGE_MIN_PX, PICTURE_EDGE_MAX_PX = 512, 8192
"""A narrower picture is enlarged, a longer one binned down, by a whole factor."""

STRIP_EDGE_MIN_PX, STRIP_EDGE_MAX_PX = 256, 32768
"""A very elongated field is binned no further than to that short edge, up to that long one."""

LABEL_ROOM_PX = 160
"""A narrower strip gets a black ground of this edge, with room for scale bar and label."""

CONTRAST_PIXELS = 1 << 22
"""Most pixels of a picture that decide its contrast: of a larger one, some are left out."""

SMOOTHING_PX = 1.0
"""Sigma of the picture's smoothing: joins speckle, keeps filaments apart."""

BRIGHT_SHARE, WHITE_PERCENTILE = 0.5, 95.0
"""White is this percentile of the bright pixels that hold this share of the emitters."""


def write_picture(
    path: Path,
    image: Rows,
    *,
    sr_pixel_size_nm: float,
    edge_max_px: int = PICTURE_EDGE_MAX_PX,
    style: PictureStyle = DEFAULT_STYLE,
) -> None:
    """Write the image as PNG, in colours and with a scale bar.

    For the eye alone: smoothed by a Gaussian of ``SMOOTHING_PX``, contrast up
    to the bright structures, enlarged or binned down. Measure in the TIFF. The file's text states
    the pixel size, the colour map and the values of its ends.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    image : ndarray or Rows, shape (Y, X), float32
        Expected number of emitters per SR pixel.
    sr_pixel_size_nm : float
        Edge of an SR pixel, in nm.
    edge_max_px : int
        Longest edge of the picture, unless it is a strip.
    style : PictureStyle
        Colours, contrast, colour bar and resolution.

    Raises
    ------
    SettingError
        If there is no such colour map or contrast.
    OutputError
        If the file cannot be written; no partial file is left.
    """
    drawn = draw_picture(
        image, sr_pixel_size_nm=sr_pixel_size_nm, edge_max_px=edge_max_px, style=style
    )
    picture = drawn.picture
    if style.colour_bar:
        picture = with_colour_bar(picture, style.colours(), drawn.limits)
    _save(path, picture, _text(drawn.pixel_nm, style, drawn.limits), style)


@dataclass(frozen=True)
class Drawn:
    """A picture (RGB) without a colour bar, and what it shows.

    ``pixel_nm`` is the edge of its pixels, ``limits`` the values of the first and the last colour,
    and ``field_px`` the width and height of the field in it.
    """

    picture: Image.Image
    pixel_nm: float
    limits: tuple[float, float]
    field_px: tuple[int, int]


def draw_picture(
    image: Rows, *, sr_pixel_size_nm: float, edge_max_px: int, style: PictureStyle
) -> Drawn:
    """Draw the image as `write_picture` writes it, without a colour bar."""
    binning = _binning(image.shape, edge_max_px)
    view = _smoothed(_binned(image, binning))
    limits = _limits(view, style)
    grey = _grey(view, limits)
    field, zoom = _enlarged(Image.fromarray(grey), edge_max_px)
    pixel_nm = sr_pixel_size_nm * binning / zoom
    return Drawn(coloured(field, style, pixel_nm), pixel_nm, limits, field.size)


def coloured(field: Image.Image, style: PictureStyle, pixel_nm: float) -> Image.Image:
    """A grey field (mode L) in the colours of a style, with a scale bar: RGB.

    A field that has no room for the scale bar is the upper left part of a black ground.
    """
    field.putpalette(style.colours().tobytes())
    return _framed(field.convert("RGB"), pixel_nm)


def write_merged_picture(
    path: Path,
    images: Mapping[str, Rows],
    *,
    sr_pixel_size_nm: float,
    edge_max_px: int = PICTURE_EDGE_MAX_PX,
    style: PictureStyle = DEFAULT_STYLE,
) -> None:
    """Write the images of two channels as one PNG: green and magenta, white where both are.

    Each channel has a contrast of its own. See `write_picture`.

    Parameters
    ----------
    path : Path
        Target; replaced if it exists.
    images : Mapping of str to Rows
        The image of each channel, by its name, which is written in its colour.
    sr_pixel_size_nm, edge_max_px
        As in `write_picture`.
    style : PictureStyle
        Contrast and resolution; its colour map and colour bar are those of one channel.

    Raises
    ------
    SettingError
        If there is no such contrast.
    OutputError
        If the file cannot be written; no partial file is left.
    """
    merged = draw_merged_picture(
        images, sr_pixel_size_nm=sr_pixel_size_nm, edge_max_px=edge_max_px, style=style
    )
    text = _text(merged.pixel_nm, style, None)
    for name, (low, high) in merged.limits.items():
        stated = f"from {low:.6g} to {high:.6g} emitters per SR pixel"
        text.add_text(f"Colours of {name}", stated)
    _save(path, merged.picture, text, style)


@dataclass(frozen=True)
class Merged:
    """The picture of two channels, its pixel in nm, and the limits of each channel's colours."""

    picture: Image.Image
    pixel_nm: float
    limits: dict[str, tuple[float, float]]


def draw_merged_picture(
    images: Mapping[str, Rows], *, sr_pixel_size_nm: float, edge_max_px: int, style: PictureStyle
) -> Merged:
    """Draw the images of two channels as `write_merged_picture` writes them."""
    shape = next(iter(images.values())).shape
    binning = _binning(shape, edge_max_px)
    colours = dict(zip(images, CHANNEL_COLOURS, strict=True))
    planes, limits = [np.zeros((), np.uint8)] * 3, {}
    for name, image in images.items():
        view = _smoothed(_binned(image, binning))
        limits[name] = _limits(view, style)
        grey = _grey(view, limits[name])
        planes = [grey if own else other for own, other in zip(colours[name], planes, strict=True)]
    field = Image.fromarray(np.stack(planes, axis=-1))  # no two channels share a primary colour
    field, zoom = _enlarged(field, edge_max_px)
    pixel_nm = sr_pixel_size_nm * binning / zoom
    picture = _framed(field, pixel_nm)
    _draw_names(picture, colours)
    return Merged(picture, pixel_nm, limits)


def _enlarged(field: Image.Image, edge_max_px: int) -> tuple[Image.Image, int]:
    """A small field with every pixel repeated, and how often along an edge."""
    width, height = field.size
    zoom = max(min(math.ceil(PICTURE_EDGE_MIN_PX / width), edge_max_px // max(field.size)), 1)
    size = width * zoom, height * zoom
    return field.resize(size, Image.Resampling.NEAREST), zoom


def _framed(picture: Image.Image, pixel_nm: float) -> Image.Image:
    """A field (RGB) with room for its scale bar, and that."""
    size = max(picture.width, LABEL_ROOM_PX), max(picture.height, LABEL_ROOM_PX)
    if size != picture.size:
        field = picture
        picture = Image.new("RGB", size)
        picture.paste(field)
    _draw_scale_bar(picture, pixel_nm)
    return picture


def _save(path: Path, picture: Image.Image, text: PngInfo, style: PictureStyle) -> None:
    resolution = {} if style.dpi is None else {"dpi": (style.dpi, style.dpi)}
    with written_whole(path) as file:
        picture.save(file, format="PNG", pnginfo=text, **resolution)


def _draw_names(picture: Image.Image, colours: Mapping[str, tuple[int, int, int]]) -> None:
    """The name of each channel in its colour, in the upper left corner."""
    em = max(12, round(min(picture.size) / 25))
    font, draw = ImageFont.load_default(em), ImageDraw.Draw(picture)
    for line, (name, colour) in enumerate(colours.items()):
        place = round(0.8 * em), round((1.5 + 1.3 * line) * em)
        draw.text(place, name, colour, font, "ls", stroke_width=2, stroke_fill="black")


def _text(pixel_nm: float, style: PictureStyle, limits: tuple[float, float] | None) -> PngInfo:
    """What the file states of itself; limits of one channel are those of a colour map."""
    text = PngInfo()
    stated = {"Software": "smlm-recon", "Pixel size": f"{pixel_nm:g} nm"}
    if limits is not None:
        stated["Colour map"] = style.cmap
        stated["Colours"] = f"from {limits[0]:.6g} to {limits[1]:.6g} emitters per SR pixel"
    for name, value in stated.items():
        text.add_text(name, value)
    return text


def _binning(shape: tuple[int, ...], edge_max_px: int) -> int:
    """SR pixels along the edge of a pixel of the picture."""
    long, short = max(shape), min(shape)
    binning = math.ceil(long / edge_max_px)
    if short < STRIP_EDGE_MIN_PX * binning:
        needed = math.ceil(long / STRIP_EDGE_MAX_PX)
        binning = max(min(binning, short // STRIP_EDGE_MIN_PX), needed, 1)
    return binning


def _binned(image: Rows, factor: int) -> NDArray[np.float32]:
    """Mean over squares of ``factor`` pixels; those at the far edges may be partial."""
    height, width = (-(-edge // factor) for edge in image.shape)
    view = np.empty((height, width), np.float32)
    first = 0
    for band in bands(image, factor):
        for _ in range(2 if factor > 1 else 0):
            starts = np.arange(0, len(band), factor)
            counts = np.diff(starts, append=len(band)).astype(np.float32)
            sums: NDArray[np.float32] = np.add.reduceat(band, starts, axis=0)
            band = np.divide(sums, counts[:, None], out=sums).T
        view[first : first + len(band)] = band
        first += len(band)
    return view


def _smoothed(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian of ``SMOOTHING_PX`` along both axes, in place; edges are continued."""
    reach = math.ceil(3 * SMOOTHING_PX)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING_PX) ** 2)
    weights = (taps / taps.sum()).astype(np.float32)
    rows = max(BAND_BYTES // (4 * view.shape[1]), reach)
    above = np.repeat(view[:1], reach, axis=0)
    for first in range(0, len(view), rows):
        below = view[first : first + rows + reach]
        missing = min(rows, len(view) - first) + reach - len(below)
        block = np.pad(np.concatenate([above, below]), ((0, missing), (0, 0)), "edge")
        above = block[-2 * reach : -reach].copy()
        down = _weighted(block, weights)
        across = _weighted(np.pad(down, ((0, 0), (reach, reach)), "edge").T, weights)
        view[first : first + rows] = across.T
    return view


def _weighted(padded: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted mean along the first axis of an array padded by the reach of the weights."""
    length = len(padded) - len(weights) + 1
    total = np.zeros((length, padded.shape[1]), np.float32)
    for start, weight in enumerate(weights):
        total += weight * padded[start : start + length]
    return total


def _limits(view: NDArray[np.float32], style: PictureStyle) -> tuple[float, float]:
    """Values of the first and the last colour.

    By default from zero to ``WHITE_PERCENTILE`` of the bright pixels: neither wide empty ground
    nor a few very bright beads decide the contrast.
    """
    given, percentile = style.limits_given(), style.percentile()
    if given is not None:
        return given
    step = math.ceil(math.sqrt(view.size / CONTRAST_PIXELS))
    sample = view[::step, ::step]
    lit = np.sort(sample[sample > 0])
    if not lit.size:
        return 0.0, 1.0
    if percentile is not None:
        return 0.0, float(np.percentile(lit, percentile))
    held = np.cumsum(lit, dtype=np.float64)
    bright = lit[np.searchsorted(held, held[-1] * (1 - BRIGHT_SHARE)) :]
    return 0.0, float(np.percentile(bright, WHITE_PERCENTILE))


def _grey(view: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """0 up to the first limit, 255 from the second one on. The view is used up."""
    low, high = limits
    if low:
        view -= np.float32(low)
    view *= np.float32(255 / (high - low))
    np.clip(view, 0, 255, out=view)
    return view.astype(np.uint8)


def _bar_length_nm(width_nm: float) -> float:
    """Length of 1, 2 or 5 times a power of ten, nearest a fifth of the width."""
    wanted_nm = width_nm / 5
    decade_nm = 10.0 ** math.floor(math.log10(wanted_nm))
    return min((step * decade_nm for step in (1, 2, 5, 10)), key=lambda nm: abs(nm - wanted_nm))


def _draw_scale_bar(picture: Image.Image, pixel_size_nm: float) -> None:
    """Scale bar and label in the lower right corner, white with a dark outline."""
    width, height = picture.size
    length_nm = _bar_length_nm(width * pixel_size_nm)
    unit = min(width, height) / 100
    outline, thickness, margin = max(2, round(unit / 3)), max(3, round(unit)), round(3 * unit)
    length = max(1, round(length_nm / pixel_size_nm))
    left, top = width - margin - length, height - margin - thickness
    right, bottom = left + length - 1, top + thickness - 1  # Pillow counts both ends in
    em = max(12, round(4 * unit))
    font = ImageFont.load_default(em)
    label = f"{length_nm / 1000:g} {MICRO}m" if length_nm >= 1000 else f"{length_nm:g} nm"
    text_width = font.getlength(drawable(label))
    start = round(min(left + (length - text_width) / 2, width - margin - text_width))
    pieces = [
        (round(x), round(y), text)
        for x, y, text in pieces_of(label, start, top - round(0.6 * em), font, em)
    ]
    draw = ImageDraw.Draw(picture)
    for colour, edge in (("black", outline), ("white", 0)):
        draw.rectangle((left - edge, top - edge, right + edge, bottom + edge), colour)
        for x, y, text in pieces:
            draw.text((x, y), text, colour, font, "ls", stroke_width=edge)
