"""Read the camera that ``recon-train match`` estimated from the preset that it wrote."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.camera_units import CameraEstimate, CameraUnits

BYTES_MOST = 1 << 20
"""Largest file that is read; a preset has a few kilobytes."""

_TEXT_MOST = 255
"""Longest name that is taken over: that of a file."""

_GAIN, _OFFSET = "gain_adu_per_photon", "offset_adu"


_LACKING = {
    "measured_from": "it does not say which film it was measured from",
    "values": "it states no measured values",
    "uncertainties": "it states no errors of its values",
}
"""What a file without these parts lacks, in words."""


def read_camera(path: Path) -> CameraUnits:
    """Read gain and offset of a camera, with their errors, from a preset of ``recon-train match``.

    Parameters
    ----------
    path : Path
        The JSON file that ``recon-train match FILM -o FILE`` wrote.

    Returns
    -------
    CameraUnits
        Gain in ADU a photon and offset in ADU, and the estimate that they come from. The offset is
        None where match did not determine it.

    Raises
    ------
    SettingError
        If there is no such file, it is no preset of match, or match did not determine the gain.
    """
    measured = _part(path, _read(path), "measured_from")
    values, errors = _part(path, measured, "values"), _part(path, measured, "uncertainties")
    film = _text(path, measured, "stack")
    gain, offset = _number(path, values, _GAIN), _number(path, values, _OFFSET)
    if gain is None:
        raise SettingError(
            f"{path} states no gain: recon-train match did not determine it from {film}; expected "
            "a preset with a gain: give match more frames, or the camera's --offset-adu, or give "
            "--gain-adu-per-photon here"
        )
    if gain <= 0:
        raise _refusal(path, f"its {_GAIN} is {gain:g}")
    estimate = CameraEstimate(
        file=path.name,
        film=film,
        camera=_text(path, measured, "camera"),
        gain_error_adu_per_photon=_error(path, errors, _GAIN),
        offset_error_adu=None if offset is None else _error(path, errors, _OFFSET),
    )
    return CameraUnits(gain, offset, estimate)


def _read(path: Path) -> Mapping[str, Any]:
    """The file's object."""
    try:
        held = _bytes_of(path)
    except FileNotFoundError as error:
        raise SettingError(
            f"there is no camera file {path}; expected the JSON file that recon-train match FILM "
            "-o FILE wrote"
        ) from error
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(path, f"it cannot be read: {reason}") from error
    if held is None:
        raise _refusal(path, f"it is no file of at most {BYTES_MOST >> 20} MiB")
    try:
        stated = json.loads(held)
    except (ValueError, RecursionError) as error:
        raise _refusal(path, "it is no JSON") from error
    if not isinstance(stated, dict):
        raise _refusal(path, "it is a list or a single value")
    return stated


def _bytes_of(path: Path) -> bytes | None:
    """What a file holds; None of a large one, or of a pipe, for which the command would wait."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        held = file.read(BYTES_MOST + 1)
    return held if len(held) <= BYTES_MOST else None


def _part(path: Path, facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = facts.get(name)
    if not isinstance(part, dict):
        raise _refusal(path, _LACKING[name])
    return part


def _text(path: Path, facts: Mapping[str, Any], name: str) -> str:
    text = facts.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= _TEXT_MOST:
        raise _refusal(path, f"its {name} is no name")
    return text


def _number(path: Path, facts: Mapping[str, Any], name: str) -> float | None:
    """A number, which may be absent; booleans, NaN and infinities are none."""
    value = facts.get(name)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _refusal(path, f"its {name} is no number")
    return number


def _error(path: Path, facts: Mapping[str, Any], name: str) -> float | None:
    """A standard error; None where it is not stated."""
    error = _number(path, facts, name)
    if error is not None and error < 0:
        raise _refusal(path, f"the uncertainty of its {name} is {error:g}")
    return error


def _refusal(path: Path, reason: str) -> SettingError:
    return SettingError(
        f"{path} cannot be read as a camera ({reason}); expected the JSON file that "
        "'recon-train match FILM -o FILE' writes, which measures gain and offset from a film of "
        "that camera; or give them with --gain-adu-per-photon and --offset-adu"
    )
