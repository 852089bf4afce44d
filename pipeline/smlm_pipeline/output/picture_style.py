"""Colours, contrast and resolution of a picture, as the user chooses them."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError

HOT = "hot"
"""The default colours: black, red, yellow, white."""

CONTRAST_AUTO = "auto"

DPI_RANGE = (1, 10_000)


@dataclass(frozen=True)
class PictureStyle:
    """The choices for a picture.

    Attributes
    ----------
    cmap : str
        Name of a colour map: ``hot``, or one of the package ``cmap``, as ``viridis`` or ``gray``.
    contrast : str
        ``auto``; ``LOW:HIGH``, the values of the first and the last colour in emitters per SR
        pixel; or ``P%``, which makes that percentile of the pixels that are not zero the last.
    colour_bar : bool
        Whether a bar beside the picture states the values of the colours.
    dpi : int or None
        Dots per inch that the file states, for print.
    """

    cmap: str = HOT
    contrast: str = CONTRAST_AUTO
    colour_bar: bool = False
    dpi: int | None = None

    def check(self) -> None:
        """Refuse what no picture can be drawn with.

        Raises
        ------
        SettingError
            If the colour map is not known, or a number is out of range.
        """
        self.colours()
        self.limits_given()
        self.percentile()
        if self.dpi is not None and not DPI_RANGE[0] <= self.dpi <= DPI_RANGE[1]:
            low, high = DPI_RANGE
            raise SettingError(f"dpi is {self.dpi}; expected a whole number from {low} to {high}")

    def colours(self) -> NDArray[np.uint8]:
        """The colours from low to high values: shape (256, 3), uint8, red, green, blue.

        Raises
        ------
        SettingError
            If there is no such colour map.
        """
        if self.cmap == HOT:
            return hot()
        import cmap  # takes a quarter of a second, for those alone who choose other colours

        try:
            table = cmap.Colormap(self.cmap).lut(256)
        except (ValueError, TypeError, LookupError) as error:
            known = cmap.Colormap.catalog().short_keys()
            alike = difflib.get_close_matches(self.cmap.lower(), list(known), 1, 0.6)
            question = f": did you mean {alike[0]}?" if alike else ""
            raise SettingError(
                f"cmap is {self.cmap!r}; expected hot, or a colour map of the package cmap, as "
                f"gray, viridis, inferno, magma or cyan{question}"
            ) from error
        colours: NDArray[np.uint8] = np.rint(255 * np.asarray(table)[:, :3]).astype(np.uint8)
        return colours

    def limits_given(self) -> tuple[float, float] | None:
        """Values of the first and the last colour, where the user gives them.

        Raises
        ------
        SettingError
            If the contrast is neither of the three forms.
        """
        if self.contrast == CONTRAST_AUTO or self.contrast.endswith("%"):
            return None
        try:
            low, high = (float(part) for part in self.contrast.split(":"))
        except ValueError:
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise SettingError(
                f"contrast is {self.contrast!r}; expected auto, LOW:HIGH in emitters per SR pixel "
                "as 0:0.5, or a percentile as 99.5%"
            )
        return low, high

    def percentile(self) -> float | None:
        """The percentile that gets the last colour, where the user gives one.

        Raises
        ------
        SettingError
            If it is no number above 0 and up to 100.
        """
        if not self.contrast.endswith("%"):
            return None
        number = re.fullmatch(r"(\d+(?:\.\d+)?)%", self.contrast)
        percentile = float(number[1]) if number else math.nan
        if not 0 < percentile <= 100:
            raise SettingError(f"contrast is {self.contrast!r}; expected a percentile as 99.5%")
        return percentile


DEFAULT_STYLE = PictureStyle()
"""The style of a picture for which nothing is chosen."""


def hot() -> NDArray[np.uint8]:
    """Black, red, yellow, white: shape (256, 3), uint8, red, green, blue."""
    corners = (0, 3 / 8), (3 / 8, 3 / 4), (3 / 4, 1)
    ramps = [np.interp(np.linspace(0, 1, 256), ends, (0, 255)) for ends in corners]
    return np.rint(np.stack(ramps, axis=1)).astype(np.uint8)
