"""Find when a film was taken, in what programs write into TIFF files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from tifffile import TiffFile

_OME = re.compile(r"<(?:\w+:)?AcquisitionDate>([^<]+)<")

_DATE = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)[T ]+(\d\d):(\d\d):(\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?"
)
"""Year first: other orders are ambiguous. The last part is the time zone."""

_SUMMARY_KEYS = ("StartTime", "Time", "Date")
"""Keys of Micro-Manager's summary."""

_DATE_TIME = 306
"""TIFF's tag of the time of the image."""

_UNIX_JULIAN_DAY = 2440587.5
"""The Julian day at the beginning of 1970, in UTC."""


def date_of_tiff(tif: TiffFile) -> str | None:
    """When the film of a TIFF file was taken, as ISO 8601; None if the file does not state it."""
    return next(filter(None, (iso_date(text) for text in _stated(tif))), None)


def date_of_summary(summary: Mapping[str, object]) -> str | None:
    """When a film was taken by Micro-Manager's summary, as ISO 8601."""
    stated = (iso_date(str(summary.get(key, ""))) for key in _SUMMARY_KEYS)
    return next(filter(None, stated), None)


def iso_date(text: str) -> str | None:
    """A date and time in ISO 8601, with its time zone if it is stated; None if it is none."""
    found = _DATE.search(text)
    if found is None:
        return None
    *numbers, fraction, zone = found.groups()
    with suppress(ValueError):
        moment = datetime(*map(int, numbers), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
        if moment.year < 1980:  # of a clock that was never set
            return None
        plain = moment.replace(tzinfo=None).isoformat()
        zone = zone if not zone or zone == "Z" or ":" in zone else f"{zone[:3]}:{zone[3:]}"
        return f"{plain}{fraction or ''}{zone or ''}"
    return None


def date_of_julian_day(day: float) -> str | None:
    """A Julian day of UTC as ISO 8601, to the second; None for days of a clock never set."""
    with suppress(ValueError, OverflowError):
        since = timedelta(days=day - _UNIX_JULIAN_DAY)
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + since
        rounded = moment + timedelta(milliseconds=500)
        return iso_date(f"{rounded.replace(tzinfo=None).isoformat(timespec='seconds')}Z")
    return None


def _stated(tif: TiffFile) -> Iterator[str]:
    """All dates that the file states, the most trusted first."""
    if found := _OME.search(tif.ome_metadata or ""):
        yield found[1]
    if tif.is_micromanager and isinstance(tif.micromanager_metadata, Mapping):
        summary = tif.micromanager_metadata.get("Summary")
        if isinstance(summary, Mapping):
            yield date_of_summary(summary) or ""
    yield str(tif.pages.first.tags.valueof(_DATE_TIME) or "")
