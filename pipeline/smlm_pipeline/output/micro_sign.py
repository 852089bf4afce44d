"""The micro sign in pictures: Pillow's font lacks it."""

from __future__ import annotations

from typing import TypeAlias

from PIL import ImageFont

MICRO = "µ"

Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"


def drawable(text: str) -> str:
    """The text with a letter of the font in place of the sign, which is as wide."""
    return text.replace(MICRO, "u")


def pieces_of(
    text: str, start_px: float, base_px: float, font: Font, em_px: float
) -> list[tuple[float, float, str]]:
    """The pieces that make a text with micro signs, as column, base line and text of each.

    An I that is moved down is the leg of the sign. All pieces are drawn from their left ends on
    their base lines (anchor ``ls``).

    Parameters
    ----------
    text : str
        One line.
    start_px, base_px : float
        Left end and base line of the text.
    font, em_px : FreeTypeFont or ImageFont, and float
        Of all pieces, and its size.
    """
    pieces = [(start_px, base_px, drawable(text))]
    for place, letter in enumerate(text):
        if letter == MICRO:
            before_px = font.getlength(drawable(text[:place]))
            leg_px = start_px + before_px - 0.03 * em_px
            pieces.append((leg_px, base_px + 0.18 * em_px, "I"))
    return pieces
