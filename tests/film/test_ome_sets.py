"""OME-TIFF films in several files, described by one of them or by a companion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.format_films import COUNT, make_film
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film

_SCHEMA = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def _write(folder: Path, counts: list[int], companion: str | None) -> list[Path]:
    """Files ``0.ome.tif``, ... with these numbers of frames, and their one description."""
    film = make_film()
    places = [(file, page) for file, count in enumerate(counts) for page in range(count)]
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="{page}" PlaneCount="1">'
        f'<UUID FileName="{file}.ome.tif">urn:uuid:{file}</UUID></TiffData>'
        for t, (file, page) in enumerate(places)
    )
    pixels = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="24" '
        f'SizeY="20" SizeZ="1" SizeC="1" SizeT="{len(places)}" PhysicalSizeX="0.108" '
        f'PhysicalSizeY="0.108"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}'
        "</Pixels></Image>"
    )
    if companion:
        (folder / companion).write_text(f'<OME {_SCHEMA} UUID="urn:uuid:c">{pixels}</OME>')
        pixels = f'<BinaryOnly MetadataFile="{companion}" UUID="urn:uuid:c"/>'
    paths, first = [], 0
    for file, count in enumerate(counts):
        paths.append(folder / f"{file}.ome.tif")
        text = f'<OME {_SCHEMA} UUID="urn:uuid:{file}">{pixels}</OME>'
        with tifffile.TiffWriter(paths[-1]) as writer:
            for page, frame in enumerate(film[first : first + count]):
                description = None if page else text.encode()
                writer.write(frame, metadata=None, description=description, contiguous=False)
        first += count
    return paths


@pytest.mark.parametrize("companion", [None, "film.companion.ome"])
@pytest.mark.parametrize("counts", [[1, COUNT - 1], [1] * COUNT, [5, 7], [COUNT]])
def test_set_is_one_film(tmp_path: Path, counts: list[int], companion: str | None) -> None:
    paths = _write(tmp_path, counts, companion)
    named = [paths[0], paths[-1], tmp_path] if companion is None or len(counts) > 1 else paths
    for path in [*named, *([tmp_path / companion] if companion else [])]:
        with open_film(path) as reader:
            np.testing.assert_array_equal(reader.read_all(), make_film())
            assert reader.pixel_size_nm == pytest.approx(108)


@pytest.mark.parametrize("companion", [None, "film.companion.ome"])
def test_file_that_is_missing_is_named(tmp_path: Path, companion: str | None) -> None:
    paths = _write(tmp_path, [4, 4, 4], companion)
    paths[1].unlink()
    with pytest.raises(FilmError, match=r"lacks frames 4 to 7 of 12 \(1.ome.tif, which its"):
        open_film(paths[0])
    with open_film(paths[0], allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all(), make_film()[[*range(4), *range(8, 12)]])


def test_companion_without_its_files(tmp_path: Path) -> None:
    for path in _write(tmp_path, [5, 7], "film.companion.ome"):
        path.unlink()
    with pytest.raises(FilmError, match=r"describes 0.ome.tif ... \(2 files\), and none is beside"):
        open_film(tmp_path / "film.companion.ome")


@pytest.mark.parametrize("companion", [None, "film.companion.ome"])
@pytest.mark.parametrize("zeros", [True, False])
def test_file_that_is_damaged(tmp_path: Path, zeros: bool, companion: str | None) -> None:
    paths = _write(tmp_path, [4, 4, 4], companion)
    data = paths[1].read_bytes()
    half = len(data) // 2
    paths[1].write_bytes(data[:half] + bytes(len(data) - half) * zeros)
    with pytest.raises(FilmError, match=r"lacks frames [56] to 7 of 12 \(1.ome.tif, one of its"):
        open_film(paths[0])
    with open_film(paths[0], allow_partial=True) as reader:
        found = reader.read_all()
        np.testing.assert_array_equal(found[:5], make_film()[:5])
        np.testing.assert_array_equal(found[-4:], make_film()[8:])
