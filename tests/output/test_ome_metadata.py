"""OME-XML that states how an image was made, as ``ome-types`` reads it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile

from fakes.command_line import submit, take_for_local
from fakes.films import spots_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.formats.acquisition_date import iso_date
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.output.facts import ImageFacts
from smlm_pipeline.output.ome_tiff import write_image

PROVENANCE = {
    "film_sha256": "ab" * 32,
    "settings": {"zoom": 8, "refine": "off", "precision": None},
    "selection": {"frames": [0, 10]},
    "notes": ["a <b> & 'c'", "\u00b5m \u4e2d"],
    "odd": "a\x00b\x1b",
}


def described(path: Path) -> Any:
    """The OME model of a file, with all that the schema does not allow refused."""
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        return ome_types.from_xml(str(tiff.ome_metadata), validate=False)


def pairs(path: Path) -> dict[str, str]:
    (annotation,) = described(path).structured_annotations.map_annotations
    assert annotation.namespace == "smlm-recon/provenance"
    return {each.k: each.value for each in annotation.value.ms}


@pytest.mark.parametrize("edge_px", [64, 2100])
def test_all_facts_are_read_by_ome_types(tmp_path: Path, edge_px: int) -> None:
    path = tmp_path / "image.ome.tif"
    write_image(
        path,
        np.ones((edge_px, 32), np.float32),
        ImageFacts(
            13.54,
            PROVENANCE,
            name="cell [1] \u00b5.tif",
            acquired="2026-11-26T21:05:06+01:00",
            channel="Alexa 647",
        ),
    )
    ome = described(path)
    assert ome.creator.startswith("smlm-recon ")
    (image,) = ome.images
    assert image.name == "cell [1] \u00b5.tif"
    assert image.acquisition_date == datetime.fromisoformat("2026-11-26T21:05:06+01:00")
    assert [channel.name for channel in image.pixels.channels] == ["Alexa 647"]
    assert (image.pixels.size_x, image.pixels.size_y) == (32, edge_px)
    assert image.pixels.type.value == "float"
    for axis in "xy":
        assert getattr(image.pixels, f"physical_size_{axis}") == 13.54
        assert getattr(image.pixels, f"physical_size_{axis}_unit").value == "nm"
    assert [ref.id for ref in image.annotation_refs] == ["Annotation:0"]
    stated = pairs(path)
    assert stated["film_sha256"] == "ab" * 32
    assert stated["settings.zoom"] == "8"
    assert stated["settings.precision"] == "null"
    assert stated["selection.frames"] == "[0, 10]"
    assert stated["odd"] == "a\ufffdb\ufffd"


def test_what_a_run_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    film = tmp_path / "film.tif"
    tifffile.imwrite(
        film,
        spots_adu(16, 32, 32),
        photometric="minisblack",
        datetime="2026:11:25 23:59:01",
    )
    assert submit(film, "--quiet", "--zoom", "4").exit_code == 0
    (image,) = described(tmp_path / "film.sr.ome.tif").images
    assert (image.name, str(image.acquisition_date)) == ("film.tif", "2026-11-25 23:59:01")
    stated = pairs(tmp_path / "film.sr.ome.tif")
    assert stated["settings.zoom"] == "4"
    assert len(stated["film_sha256"]) == 64
    assert stated["versions.numpy"] == np.__version__
    assert stated["value"] == "expected number of emitters per pixel"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026:11:25 23:59:01", "2026-11-25T23:59:01"),
        ("2026-11-25T23:59:01Z", "2026-11-25T23:59:01Z"),
        ("2026-11-25 23:59:01.634 -0700", "2026-11-25T23:59:01.634-07:00"),
        ("0000:00:00 00:00:00", None),
        ("1970-01-01T00:00:00", None),
        ("11/25/2026 3:10:05 PM", None),
        ("", None),
    ],
)
def test_dates(text: str, date: str | None) -> None:
    assert iso_date(text) == date


def test_date_and_channel_of_an_ome_film(tmp_path: Path) -> None:
    path = tmp_path / "film.ome.tif"
    tifffile.imwrite(
        path,
        spots_adu(16, 32, 32).reshape(8, 2, 32, 32),
        metadata={
            "axes": "TCYX",
            "AcquisitionDate": "2024-02-29T12:00:00",
            "Channel": {"Name": ["DAPI", "Cy5"]},
        },
    )
    with open_film(path, Selection(channel=1)) as film:
        assert (film.acquired, film.channel) == ("2024-02-29T12:00:00", "Cy5")
