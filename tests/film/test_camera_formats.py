"""The formats of cameras' and microscopes' programs: read as written, refused in plain words."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from fakes.camera_films import CAMERA_WRITERS
from fakes.command_line import submit
from fakes.format_films import COUNT, make_film, read_all
from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.selection import Selection

Writer = Callable[[Path, NDArray[Any]], Path]

each_camera = pytest.mark.parametrize("write", CAMERA_WRITERS.values(), ids=CAMERA_WRITERS.keys())

WITHOUT_SIZE = {"spe 2", "spe 3", "sif", "dcimg", "dcimg old", "hdf5"}
NO_SUCH_TYPE = {
    *((name, "<f4") for name in ("dcimg", "dcimg old", "stk", "lsm")),
    ("spe 3", "|u1"),
}
CUT_IS_USED = {"spe 2", "spe 3", "sif", "dcimg", "fits", "lif", "czi"}


@each_camera
def test_any_range_reads_back_as_written(tmp_path: Path, write: Writer) -> None:
    film = make_film()
    with open_film(write(tmp_path / "film", film)) as reader:
        assert (reader.frame_count, reader.height_px, reader.width_px) == film.shape
        for first, last in ((0, COUNT), (3, 7), (COUNT - 1, COUNT)):
            frames = reader.read(first, last)
            assert frames.dtype == np.uint16
            assert frames.dtype.isnative
            np.testing.assert_array_equal(frames, film[first:last])
    with pytest.raises(FilmError, match="was closed; expected"):
        reader.read(0, 1)


@each_camera
def test_part_of_a_film(tmp_path: Path, write: Writer) -> None:
    film = make_film()
    part = Selection(frames=(1, 12, 2), roi_px=(3, 2, 18, 17))
    found = read_all(write(tmp_path / "film", film), part)
    np.testing.assert_array_equal(found, film[1::2, 2:19, 3:21])


@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_pixel_size(tmp_path: Path, name: str) -> None:
    with open_film(CAMERA_WRITERS[name](tmp_path / "film", make_film())) as reader:
        size_nm = None if name in WITHOUT_SIZE else pytest.approx(100)
        assert reader.pixel_size_nm == size_nm


@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_name_of_any_case_and_format_by_content(tmp_path: Path, name: str) -> None:
    film = make_film()
    path = CAMERA_WRITERS[name](tmp_path / "film", film)
    for suffix in (path.suffix.lower(), path.suffix.upper()):
        path = path.rename(path.with_suffix(suffix))
        np.testing.assert_array_equal(read_all(path), film)
    path = path.rename(tmp_path / "film of today")
    np.testing.assert_array_equal(read_all(path), film)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in CAMERA_WRITERS
        for dtype in ("|u1", "<u2", "<f4")
        if (name, dtype) not in NO_SUCH_TYPE
    ],
)
def test_types(tmp_path: Path, name: str, dtype: str) -> None:
    film = (make_film() % 251).astype(dtype)
    np.testing.assert_array_equal(read_all(CAMERA_WRITERS[name](tmp_path / "film", film)), film)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_cut_short(tmp_path: Path, name: str, share: float) -> None:
    film = make_film()
    path = CAMERA_WRITERS[name](tmp_path / "film", film)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(FilmError, match=r"cut short|lacks|holds no|damaged"):
        open_film(path)
    if name in CUT_IS_USED and share == 0.8:
        with open_film(path, allow_partial=True) as reader:
            assert 6 <= reader.frame_count < COUNT
            np.testing.assert_array_equal(reader.read_all(), film[: reader.frame_count])
            (warning,) = reader.warnings
            assert "lacks" in warning
        np.testing.assert_array_equal(read_all(path, Selection(frames=(0, 4))), film[:4])


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_copy_that_ends_in_zeros(tmp_path: Path, name: str, share: float) -> None:
    film = make_film()
    path = CAMERA_WRITERS[name](tmp_path / "film", film)
    data = path.read_bytes()
    written = int(len(data) * share)
    path.write_bytes(data[:written] + bytes(len(data) - written))
    if (name, share) in {("fits compressed", 0.97), ("czi", 0.97)}:  # its padding, its metadata
        np.testing.assert_array_equal(read_all(path), film)
        return
    with (
        pytest.raises(FilmError, match=r"zeros|cut short|lacks|damaged"),
        open_film(path) as reader,
    ):
        reader.read_all()
    if name in {*CUT_IS_USED, "stk", "hdf5"}:
        with open_film(path, allow_partial=True) as reader:
            assert share * COUNT - 4 <= reader.frame_count < COUNT
            np.testing.assert_array_equal(reader.read_all(), film[: reader.frame_count])
            (warning,) = reader.warnings
            assert "lacks" in warning


@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_black_frames_in_the_middle_and_a_black_border(tmp_path: Path, name: str) -> None:
    film = make_film()
    film[3:7] = 0
    film[:, -5:] = 0
    film[:, :2] = 0
    np.testing.assert_array_equal(read_all(CAMERA_WRITERS[name](tmp_path / "film", film)), film)


def test_film_of_few_counts_may_end_in_zeros(tmp_path: Path) -> None:
    film = np.random.default_rng(5).poisson(0.05, (COUNT, 20, 24)).astype("<u2")
    film[-3:] = 0
    np.testing.assert_array_equal(read_all(CAMERA_WRITERS["sif"](tmp_path / "film", film)), film)


def test_hdf5_that_was_filled_in_part(tmp_path: Path) -> None:
    path = tmp_path / "film.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("m", (COUNT, 20, 24), "u2")[:8] = make_film()[:8]
    with pytest.raises(FilmError, match="lacks frames 8 to 11 of 12 "):
        open_film(path)
    np.testing.assert_array_equal(read_all(path, Selection(frames=(0, 8))), make_film()[:8])


@pytest.mark.parametrize("name", CAMERA_WRITERS)
def test_no_damage_escapes_as_another_error(tmp_path: Path, name: str) -> None:
    path = CAMERA_WRITERS[name](tmp_path / "film", make_film(4))
    data, random = path.read_bytes(), np.random.default_rng(7)
    for turn in range(30):
        damaged = bytearray(data)
        for offset in random.integers(1, min(len(data), 5000), 4):
            damaged[offset] = random.integers(256)
        damaged[-random.integers(1, min(len(data), 1000))] = random.integers(256)
        path.write_bytes(damaged[: random.integers(1, 2 * len(data))] if turn % 2 else damaged)
        try:
            with open_film(path) as reader:
                reader.read(0, reader.frame_count)
        except FilmError as error:
            assert "expected a film of grey frames" in str(error)  # noqa: PT017 - some is harmless


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("ims", "h5py", "ims"),
        ("hdf5", "h5py", "hdf5"),
        ("fits", "astropy", "fits"),
        ("lif", "liffile", "lif"),
        ("czi", "imagecodecs", "czi"),
    ],
)
def test_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    path = CAMERA_WRITERS[name](tmp_path / "film", make_film())
    imported = builtins.__import__

    def without(wanted: str, *rest: Any) -> Any:
        if wanted.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {wanted!r}", name=wanted.split(".")[0])
        return imported(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    told = rf"needs the package {package}, .*: pip install 'smlm-recon\[{extra}\]'"
    with pytest.raises(FilmError, match=told):
        open_film(path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("film.oib", r"Olympus' format \(\.oib\), .*OME-TIFF with Bio-Formats"),
        ("film.VSI", r"Olympus' format \(\.vsi\)"),
        ("film.avi", r"a video \(\.avi\), .*camera's own frames"),
        ("film.MP4", r"a video \(\.mp4\)"),
        ("spool.dat", r"raw data of a camera without a description .*as TIFF with the camera's"),
        ("film.pmb", r"raw data of a camera"),
        ("film.xyz", r"raw data of a camera"),
        ("film.dm4", r"a format of a microscope"),
        ("film.tif.gz", r"an archive \(\.gz\), .*unpack it"),
        ("film.npy", r"a NumPy or MATLAB file .*tifffile.imwrite"),
        ("film.csv", r"a table of localisations"),
        ("film.png", r"a picture"),
        ("film.unheard", r"is not a TIFF file, nor ND2, CZI, LIF, Imaris"),
    ],
)
def test_formats_that_are_not_read(tmp_path: Path, name: str, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"some bytes of another format " * 400)
    with pytest.raises(FilmError, match=told):
        open_film(path)


def test_first_film_of_a_process(tmp_path: Path) -> None:
    """The formats' packages are imported when a film needs them, and by nothing before."""
    paths = [str(write(tmp_path / name, make_film())) for name, write in CAMERA_WRITERS.items()]
    code = (
        "import sys; from smlm_pipeline.film.film import open_film\n"
        "assert not {'astropy', 'h5py', 'liffile'} & set(sys.modules)\n"
        f"for path in {paths}:\n"
        "    with open_film(path) as film:\n"
        "        print(int(film.read_all().sum()))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.stderr == b""
    assert {int(total) for total in done.stdout.split()} == {int(make_film().sum())}


def test_submit_of_a_film_that_was_cut(tmp_path: Path) -> None:
    path = CAMERA_WRITERS["lif"](tmp_path / "film", make_film())
    path.write_bytes(path.read_bytes()[:-900])
    refused = submit(path, "--dry-run")
    assert refused.exit_code == 3
    assert "lacks frame 11 of 12 (the file ends early); " in refused.stderr
    partial = submit(path, "--dry-run", "--allow-partial", "--quiet")
    assert partial.exit_code == 0
    assert "film.LIF lacks frame 11 of 12" in partial.stderr
    assert "film.sr.ome.tif" in submit(path, "--dry-run", "--frames", ":9").output


@pytest.mark.parametrize("shape", [(24, 24, 20), (20, 24, 400), (24, 20, 24)])
def test_array_that_may_be_turned(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(tmp_path / "film.h5", "w") as file:
        file["m"] = np.full(shape, 7, np.uint16)
    zarr.save_array(str(tmp_path / "film.zarr"), np.full(shape, 7, np.uint16))
    for name in ("film.h5", "film.zarr"):
        with open_film(tmp_path / name) as reader:
            (warning,) = reader.warnings
        assert f"is taken as {shape[0]} frames of {shape[1]} x {shape[2]} pixels" in warning


def test_first_of_two_files_ends_in_zeros(tmp_path: Path) -> None:
    film = make_film()
    first = CAMERA_WRITERS["sif"](tmp_path / "film", film[:6])
    CAMERA_WRITERS["sif"](tmp_path / "film_X2", film[6:])
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))
    with pytest.raises(FilmError, match=r"lacks frames \d to 5 of 12 .*, in film.sif\)"):
        open_film(first)
    with open_film(first, allow_partial=True) as reader:
        np.testing.assert_array_equal(reader.read_all()[-6:], film[6:])
