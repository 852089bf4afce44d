"""Two channels by the network that ships: registered as they are displaced, here and in Triton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.image_files import described
from smlm_bench.channels.films import PIXEL_NM, Geometry, Sample, two_channel_film
from smlm_pipeline.channels.report import ChannelsReport
from smlm_pipeline.channels.run import run_channels
from smlm_pipeline.contract import RECONSTRUCTION
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import EngineChoice, local_engine, server_engine
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.job import Job
from smlm_pipeline.settings import Settings

GEOMETRY = Geometry((2.3, -3.6))


def _run(film: Path, split: str, engine: EngineChoice, output: str) -> ChannelsReport:
    channels = Channels(split, ("one", "two"))
    job = Job(film, film.with_name(output), Settings(), PIXEL_NM, channels=channels)
    return run_channels(job, engine)


def _film(path: Path, split: str, common: float) -> Path:
    sample = Sample("", common, frames=100)
    film = two_channel_film(sample, split, GEOMETRY, edge_px=48, seed=4)
    tifffile.imwrite(path, film, photometric="minisblack")
    return path


@pytest.mark.triton
def test_triton_and_this_process_register_alike(
    tmp_path: Path, triton: EmbeddedServer, model_repository: Path
) -> None:
    film = _film(tmp_path / "film.tif", "alternating", 1.0)
    with local_engine(model_repository, RECONSTRUCTION.name) as engine:
        here = _run(film, "alternating", engine, "here.ome.tif")
    with server_engine(triton.servers, RECONSTRUCTION.name) as engine:
        there = _run(film, "alternating", engine, "there.ome.tif")
    assert there.registration == here.registration
    first, second = (tifffile.imread(tmp_path / f"{name}.ome.tif") for name in ("here", "there"))
    np.testing.assert_array_equal(first, second)
    assert here.registration["method"] == "images"
    assert here.registration["shift_x_nm"] == pytest.approx(-360, abs=10)
    assert here.registration["shift_y_nm"] == pytest.approx(230, abs=10)
    assert here.registration["error_nm"] < 8
    stated = described(tmp_path / "here.ome.tif")
    assert stated["registration"] == here.registration
    assert stated["channels"]["two"]["selection"]["half"] == "second"
    assert str(tmp_path) not in str(stated)


def test_unlike_channels_are_not_registered(tmp_path: Path, model_repository: Path) -> None:
    film = _film(tmp_path / "film.tif", "left,right", 0.0)
    with local_engine(model_repository, RECONSTRUCTION.name) as engine:
        report = _run(film, "left,right", engine, "image.ome.tif")
    assert report.registration["method"] == "none"
    assert any("not registered to one" in note for note in report.notes)
