"""When a film was taken, in the formats of microscopes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from fakes.command_line import submit, take_for_local
from fakes.films import spots_adu
from fakes.microscope_films import write_czi, write_lif
from fakes.nd2_files import write_nd2
from fakes.transports import ComputingTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.acquisition_date import date_of_julian_day

JULIAN_DAY = 2460370.0000578705
"""12:00:05 on 29 February 2024, in UTC."""


def _film(tmp_path: Path, kind: str) -> Path:
    frames = spots_adu(16, 32, 32)
    if kind == "nd2":
        write_nd2(tmp_path / "film.nd2", frames, julian_day=JULIAN_DAY)
        return tmp_path / "film.nd2"
    return (write_czi if kind == "czi" else write_lif)(tmp_path / "film", frames)


@pytest.mark.parametrize(
    ("kind", "date"),
    [
        ("nd2", "2024-02-29T12:00:05Z"),
        ("czi", "2024-02-29T12:00:05.1234567Z"),
        ("lif", "2024-02-29T12:00:05.000Z"),
    ],
)
def test_date_of_the_film_is_that_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, date: str
) -> None:
    path = _film(tmp_path, kind)
    with open_film(path) as film:
        assert film.acquired == date
    take_for_local(monkeypatch, ComputingTransport())
    assert submit(path, "--quiet", "--zoom", "4").exit_code == 0
    with tifffile.TiffFile(tmp_path / "film.sr.ome.tif") as tiff:
        (image,) = ome_types.from_xml(str(tiff.ome_metadata), validate=False).images
    assert image.acquisition_date is not None
    moment = image.acquisition_date.replace(microsecond=0)
    assert moment == datetime(2024, 2, 29, 12, 0, 5, tzinfo=timezone.utc)


def test_nd2_without_a_date(tmp_path: Path) -> None:
    write_nd2(tmp_path / "film.nd2", np.ones((4, 32, 32), np.uint16))
    with open_film(tmp_path / "film.nd2") as film:
        assert film.acquired is None


@pytest.mark.parametrize("day", [-1.0, 0.0, 1e12, float("nan")])
def test_days_of_no_calendar(day: float) -> None:
    assert date_of_julian_day(day) is None
