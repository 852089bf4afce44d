"""The edge of a camera pixel, from whatever unit a file states it in."""

from __future__ import annotations

PIXEL_SIZE_RANGE_NM = (10.0, 1000.0)
"""Sizes believed, the last excluded: 72 dpi is 352,778 nm, no calibration often 1000 nm."""

_NM_PER_UNIT = {"nm": 1.0, "mm": 1e6, "cm": 1e7, "m": 1e9, "in": 2.54e7, "inch": 2.54e7}
_NM_PER_UNIT |= dict.fromkeys(("um", "\u00b5m", "\u03bcm", r"\u00b5m", "micron", "microns"), 1e3)
_NM_PER_UNIT |= {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "meter": 1e9}
_NM_PER_UNIT |= {"2": 2.54e7, "3": 1e7, "4": 1e6, "5": 1e3}  # TIFF's own codes


def believed_nm(value: float, unit: str) -> float | None:
    """The size in nm, or None where the unit is unknown or no camera pixel has that size."""
    pixel_nm = value * _NM_PER_UNIT.get(unit.lower(), float("nan"))
    return pixel_nm if PIXEL_SIZE_RANGE_NM[0] <= pixel_nm < PIXEL_SIZE_RANGE_NM[1] else None
