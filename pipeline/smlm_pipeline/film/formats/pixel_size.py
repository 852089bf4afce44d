"""Find the edge of a camera pixel in what programs write into films, and judge it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from smlm_pipeline.errors import SettingError

RANGE_NM = (10.0, 1000.0)
"""Plausible sizes, the last excluded: 72 dpi is 352,778 nm, no calibration often 1000 nm."""

CHIP_NM = (2000.0, 30000.0)
"""Sizes that pixels have on a camera's chip."""

RATIO_MAX = 1.01
"""Pixels whose edges differ by more than this factor are not square."""

_NM_PER_UNIT = {"pm": 1e-3, "nm": 1.0, "mm": 1e6, "cm": 1e7, "dm": 1e8, "m": 1e9}

_NM_PER_UNIT |= {"in": 2.54e7, "inch": 2.54e7, "inche": 2.54e7, "thou": 2.54e4, "mil": 2.54e4}

_NM_PER_UNIT |= dict.fromkeys(("um", "\u00b5m", "\u03bcm", "\u00e2\u00b5m", r"\u00b5m"), 1e3)

_NM_PER_UNIT |= {"micron": 1e3, "angstrom": 0.1, "\u00e5": 0.1, r"\u00c5": 0.1}

_NM_PER_UNIT |= {
    f"{prefix}met{end}": size_nm
    for prefix, size_nm in (
        ("pico", 1e-3),
        ("nano", 1.0),
        ("micro", 1e3),
        ("milli", 1e6),
        ("centi", 1e7),
        ("deci", 1e8),
        ("", 1e9),
    )
    for end in ("er", "re")
}

_NM_PER_CODE = {2: 2.54e7, 3: 1e7, 4: 1e6, 5: 1e3}
"""TIFF's own codes of units."""

_KEY = re.compile(
    r"(?:camera)?pixelsize([xy]?)(um|\u00b5m|\u03bcm|microns?|nm|nanometers?|)([xy]?)"
)


class Edges(NamedTuple):
    """Edges of a pixel as one place in a file states them.

    ``place`` names it; ``asks`` is whether an implausible value is worth a question.
    """

    x_nm: float
    y_nm: float
    place: str
    asks: bool = True


@dataclass(frozen=True)
class Doubt:
    """Why the size that a file states is not taken, and whether the film is refused for it.

    ``question`` is the size that was probably meant, in words for the end of a message.
    """

    problem: str
    question: str = ""
    refused: bool = False


def nm_per(unit: str) -> float | None:
    """Nanometres in a unit of length, by its name or sign; None if it is not known."""
    name = unit.strip().lower()
    return _NM_PER_UNIT.get(name) or _NM_PER_UNIT.get(name.removesuffix("s"))


def is_plausible(edge_nm: float) -> bool:
    """Whether a camera's pixel can have this edge in the sample."""
    return RANGE_NM[0] <= edge_nm < RANGE_NM[1]


def plausible_nm(value: float, unit: str) -> float | None:
    """The size in nm, or None where the unit is unknown or no camera pixel has that size."""
    edge_nm = value * (nm_per(unit) or math.nan)
    return edge_nm if is_plausible(edge_nm) else None


def edges(
    x: object, y: object, unit: str | float, place: str, *, asks: bool = True
) -> Edges | None:
    """Edges from numbers or text in a unit, or nm in that unit; one edge stands for a missing one.

    None if no number is there, the unit is unknown, or the value is the 1 of programs that have
    no calibration.
    """
    scale_nm = unit if isinstance(unit, float) else nm_per(unit)
    values = [_number(value) for value in (x, y)]
    known = [value for value in values if value]
    if scale_nm is None or not known or known[0] == 1:
        return None
    x_nm, y_nm = ((value or known[0]) * scale_nm for value in values)
    return Edges(x_nm, y_nm, place, asks)


def settle(stated: Iterable[Edges | None]) -> tuple[float | None, Doubt | None]:
    """The first plausible size among the places that state one, else what is doubtful in them."""
    doubts: list[Doubt] = []
    for found in stated:
        if found is None:
            continue
        plausible = [is_plausible(edge_nm) for edge_nm in found[:2]]
        if any(plausible):
            if max(found[:2]) <= RATIO_MAX * min(found[:2]):
                return found.x_nm, None
            size = f"{found.x_nm:.6g} x {found.y_nm:.6g} nm (x, y; {found.place})"
            doubts.append(Doubt(f"states pixels of {size}, which are not square", refused=True))
        elif found.asks:
            size = f"{found.x_nm:.6g} nm ({found.place})"
            doubts.append(Doubt(f"states a pixel size of {size}", _question(found.x_nm)))
    return None, doubts[0] if doubts else None


def check_given(edge_nm: float) -> float:
    """The size that the user gives.

    Raises
    ------
    SettingError
        If no camera pixel has that size in the sample.
    """
    if not (is_plausible(edge_nm) or edge_nm == RANGE_NM[1]):
        raise SettingError(
            f"pixel-size-nm is {edge_nm:g}; expected {RANGE_NM[0]:g} to {RANGE_NM[1]:g}, the edge "
            f"of a camera pixel in the sample, in nm{_question(edge_nm)}"
        )
    return edge_nm


def of_ome(pixels: Mapping[str, str]) -> Edges | None:
    """Edges from the attributes of an OME Pixels element."""
    units = [pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m") for axis in "XY"]
    x, y = (pixels.get(f"PhysicalSize{axis}") for axis in "XY")
    first = edges(x, None, units[0], "PhysicalSizeX")
    second = edges(y, None, units[1], "PhysicalSizeY")
    if first is None or second is None:
        return first or second
    return Edges(first.x_nm, second.x_nm, "PhysicalSizeX and Y")


def of_keys(described: object, unit: str, place: str) -> Edges | None:
    """Edges from a key such as ``PixelSizeUm``, ``PixelSize_um`` or ``Camera.Pixelsize``.

    Nested mappings are searched too. ``unit`` is that of keys without one.
    """
    found: dict[str, tuple[float, str]] = {}
    for name, value in _pairs(described):
        key = re.sub(r"[^a-z\u00b5\u03bc]", "", name.lower())
        named, number = _KEY.fullmatch(key), _number(value)
        if named and number and number != 1:
            axis = named[1] or named[3] or "x"
            found.setdefault(axis, (number * (nm_per(named[2] or unit) or math.nan), name))
    affine = (value for name, value in _pairs(described) if name == "PixelSizeAffine")
    found = found or _affine(next(affine, ""))
    if not found:
        return None
    (x_nm, name), (y_nm, _) = (found.get(axis) or next(iter(found.values())) for axis in "xy")
    return Edges(x_nm, y_nm, f"{name} {place}".strip())


def of_text(text: str, place: str) -> Edges | None:
    """Edges from Micro-Manager's metadata as text, which may be cut short or very long."""
    for found in re.finditer(r'"?Pixel_?Size_?um"?\s*[:=]\s*"?([0-9.eE+-]+)', text, re.IGNORECASE):
        size = edges(found[1], None, "um", f"PixelSizeUm {place}".strip())
        if size is not None:
            return size
    return None


def of_resolution(resolution: tuple[float, float], unit_code: int) -> Edges | None:
    """Edges from TIFF's resolution tags, in pixels per unit."""
    x, y = (1 / value if value else None for value in resolution)
    return edges(x, y, _NM_PER_CODE.get(unit_code, math.nan), "resolution tags", asks=False)


def _question(edge_nm: float) -> str:
    """The size that was probably meant, in words for the end of a message; empty if unknown."""
    if CHIP_NM[0] <= edge_nm <= CHIP_NM[1]:
        return (
            f": {edge_nm / 1e3:.6g} \u00b5m is the size on a camera's chip; divide it by the "
            "magnification"
        )
    for factor in (1e3, 1e-3, 1e6, 1e-6):
        if is_plausible(edge_nm * factor):
            micrometres = f" {edge_nm:.6g} is that size in \u00b5m" if factor == 1e3 else ""
            return f": did you mean {edge_nm * factor:.6g}?{micrometres}"
    return ""


def _number(value: object) -> float | None:
    """A positive, finite number, also from text or from Micro-Manager's ``PropVal``; else None."""
    if isinstance(value, Mapping):
        value = value.get("PropVal")
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        number = float(value.replace(",", ".") if isinstance(value, str) else value)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _pairs(described: object, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Keys and values of a mapping, then those of the mappings in it."""
    if not isinstance(described, Mapping) or not depth:
        return
    yield from ((str(key), value) for key, value in described.items())
    for value in described.values():
        yield from _pairs(value, depth - 1)


def _affine(value: object) -> dict[str, tuple[float, str]]:
    """Edges from the matrix from pixels to micrometres, as ``0.1;0;0;0;-0.1;0``."""
    parts = str(value).split(";")
    try:
        a, b, _, c, d, _ = (float(part) for part in parts)
    except ValueError:
        return {}
    x_um, y_um = math.hypot(a, c), math.hypot(b, d)
    if 1 in (x_um, y_um) or not (x_um and y_um):  # the matrix of no calibration
        return {}
    return {axis: (um * 1e3, "PixelSizeAffine") for axis, um in (("x", x_um), ("y", y_um))}
