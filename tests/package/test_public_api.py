"""The public API: lazily loaded, typed, documented, and as good as the command."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import smlm_pipeline as recon
from fakes.command_line import write_film
from fakes.events import RecordedEvents
from fakes.transports import ComputingTransport

PUBLIC = ["CameraUnits", "Report", "Selection", "Settings", "open_film", "reconstruct", "submit"]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


def test_these_names_are_promised_and_no_others() -> None:
    assert sorted(recon.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(recon))
    for name in PUBLIC:
        assert getattr(recon, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'reconstrct'"):
        recon.reconstrct  # type: ignore[attr-defined]  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, smlm_pipeline; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "smlm_pipeline" in done.stdout.split()
    assert {"numpy", "tifffile", "rich", "typer", "PIL"}.isdisjoint(done.stdout.split())


def test_using_it_loads_no_terminal(film: Path) -> None:
    code = f"""
        import sys
        import smlm_pipeline as recon
        recon.submit({str(film)!r}, engine="local")
        print(*sorted({{m.split('.')[0] for m in sys.modules}}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert {"rich", "typer", "tritonclient", "grpc"}.isdisjoint(done.stdout.split())
    assert done.stderr == ""


if TYPE_CHECKING:
    # Mypy, which refuses an ignored error that is none, holds that no name is of type Any.

    def _text(_text: str) -> None: ...

    def _types_are_known() -> None:
        _text(recon.open_film("film.tif"))  # type: ignore[arg-type]
        _text(recon.reconstruct(recon.open_film("film.tif")).image)  # type: ignore[arg-type]
        _text(recon.submit("film.tif"))  # type: ignore[arg-type]
        _text(recon.submit("film.tif").image)
        recon.Settings(zooom=4)  # type: ignore[call-arg]
        recon.Selection(chanel=1)  # type: ignore[call-arg]
        recon.submti  # type: ignore[attr-defined]  # noqa: B018


def test_the_image_is_that_of_the_command(film: Path) -> None:
    with recon.open_film(str(film)) as opened:
        result = recon.reconstruct(opened, engine="local")
    report = recon.submit(str(film), engine="local")
    assert isinstance(report, recon.Report)
    assert result.image.dtype == np.float32
    assert result.image.shape == (256, 256)
    assert result.image.sum() > 0
    np.testing.assert_array_equal(tifffile.imread(report.image), result.image)
    assert report.emitters == pytest.approx(float(result.image.sum(dtype=np.float64)))
    assert report.image == str(film.with_name("film.sr.ome.tif"))


def test_an_engine_that_is_open_is_used_and_settings_are_as_the_commands(film: Path) -> None:
    transport, events = ComputingTransport(), RecordedEvents()
    report = recon.submit(
        film,
        film.with_name("out.tif"),
        engine=transport,
        settings=recon.Settings(refine="off", zoom=4, chunk_frames=4),
        selection=recon.Selection(frames=(2, 10)),
        pixel_size_nm=160,
        events=events,
    )
    assert len(transport.requests) == report.chunks == 2
    assert (report.zoom, report.frames, report.sr_pixel_size_nm) == (4, 8, 40)
    assert tifffile.imread(film.with_name("out.tif")).shape == (128, 128)
    stages = ["starting", "surveying", "looking at molecules", "reconstructing", "writing"]
    assert [name for name, _ in events.stages] == stages
    assert [frames for _, frames in events.stages] == [8, None, None, None, None]
    assert sum(events.frames) == pytest.approx(8)
    (note,) = events.texts
    assert note.startswith("8 frames are too few to tell for how many of them a molecule shines")


def test_the_sum_of_a_large_image_lies_in_a_file(tmp_path: Path) -> None:
    """Which is gone with the result."""
    frames_adu = np.full((3, 96, 200), 100, np.uint16)
    tifffile.imwrite(tmp_path / "wide.tif", frames_adu, photometric="minisblack")
    little = recon.Settings(refine="off", zoom=16, tile_px=64, memory_bytes=310 << 20)
    with recon.open_film(tmp_path / "wide.tif") as film:
        result = recon.reconstruct(film, ComputingTransport(), little)
    assert not result.plan.canvas_in_memory
    assert result.image.shape == (96 * 16, 200 * 16)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_documented(name: str) -> None:
    documented = inspect.getdoc(getattr(recon, name)) or ""
    assert documented.split("\n")[0].endswith(".")
    if name[0].islower():
        for section in ("Parameters", "Raises", "Examples"):
            assert f"{section}\n{'-' * len(section)}" in documented
        for parameter in inspect.signature(getattr(recon, name)).parameters:
            assert parameter in documented


def test_the_example_of_the_package_names_what_is_public() -> None:
    example = recon.__doc__ or ""
    assert "import smlm_pipeline as recon" in example
    for name in ("open_film", "reconstruct", "submit"):
        assert f"recon.{name}(" in example
