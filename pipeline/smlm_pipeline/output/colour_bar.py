"""Draws the colour bar of a picture: which value has which colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_TITLE = ("emitters", "per pixel")
"""Unit of the values, in two short lines."""

_TICKS = 5


def with_colour_bar(
    picture: Image.Image, colours: NDArray[np.uint8], limits: tuple[float, float]
) -> Image.Image:
    """Add a black margin at the right, with a bar of the colours and their values.

    Parameters
    ----------
    picture : Image
        The picture, in RGB.
    colours : ndarray, shape (256, 3), uint8
        Colours from low to high values.
    limits : tuple of float
        Values of the first and the last colour, in emitters per SR pixel.

    Returns
    -------
    Image
        A wider picture; the old one is its left part.
    """
    width, height = picture.size
    em = max(12, round(min(width, height) / 40))
    font = ImageFont.load_default(em)
    labels = [_number(value, limits) for value in np.linspace(*limits, _TICKS)]
    bar_px, gap_px = 2 * em, em
    text_px = round(max(font.getlength(text) for text in (*labels, *_TITLE)))
    top, bottom = 4 * em, max(height - 2 * em, 5 * em)
    left = width + gap_px
    wide = Image.new("RGB", (left + bar_px + gap_px // 2 + text_px + gap_px, height))
    wide.paste(picture)
    ramp = np.linspace(255, 0, bottom - top).round().astype(np.uint8)
    bar = np.repeat(colours[ramp][:, None], bar_px, axis=1)
    wide.paste(Image.fromarray(bar), (left, top))
    draw = ImageDraw.Draw(wide)
    draw.rectangle((left - 1, top - 1, left + bar_px, bottom), outline="white")
    for line, text in enumerate(_TITLE):
        draw.text((left, round((1.4 + 1.2 * line) * em)), text, "white", font, "ls")
    for place, label in enumerate(labels):
        y = round(bottom - (bottom - top) * place / (_TICKS - 1))
        draw.text((left + bar_px + gap_px // 2, y), label, "white", font, "lm")
    return wide


def _number(value: float, limits: tuple[float, float]) -> str:
    """A value in as many digits as tell the ticks apart."""
    return f"{0.0 if abs(value) < 1e-9 * (limits[1] - limits[0]) else value:.3g}"
