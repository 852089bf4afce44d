"""A refined image through the real Triton server is that of the in-process engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from smlm_pipeline.contract import MAX_CLASSES, RECONSTRUCTION, UNET
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import local_engine, server_engine
from smlm_pipeline.film.film import open_film
from smlm_pipeline.model_repository import class_borders_px
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.refine.refinement import ITERATIONS_LEAST
from smlm_pipeline.settings import Settings
from smlm_training.simulation.presets import preset_film

pytestmark = pytest.mark.triton


def test_the_server_states_the_borders_of_its_repository(
    triton: EmbeddedServer, model_repository: Path
) -> None:
    stated = class_borders_px(model_repository, UNET.name)
    assert len(stated[MAX_CLASSES]) == MAX_CLASSES - 1
    with server_engine(triton.servers, RECONSTRUCTION.name) as engine:
        assert engine.class_borders_px == stated
    with local_engine(model_repository, RECONSTRUCTION.name) as engine:
        assert engine.class_borders_px == stated


def test_bit_for_bit_the_local_refined_image(
    tmp_path: Path, triton: EmbeddedServer, model_repository: Path
) -> None:
    """Cut differently, too."""
    path = tmp_path / "dense.tif"
    film_adu = preset_film("evaluate", seed=31, frames=200, height_px=40, width_px=44).frames_adu
    tifffile.imwrite(path, film_adu, photometric="minisblack")
    auto, cut = Settings(refine="auto"), Settings(refine="auto", chunk_frames=5, in_flight=3)
    with open_film(path) as film:
        with local_engine(model_repository, RECONSTRUCTION.name) as engine:
            here = reconstruct(film, engine, auto)
        with server_engine(triton.servers, RECONSTRUCTION.name) as engine:
            there, in_parts = (reconstruct(film, engine, each) for each in (auto, cut))
    assert here.refinement is not None
    assert there.refinement is not None
    assert here.refinement.steps.taken >= ITERATIONS_LEAST
    assert there.refinement.steps == here.refinement.steps
    np.testing.assert_array_equal(there.image, here.image)
    for found in (there, in_parts):
        np.testing.assert_array_equal(found.pixels.whole(), here.pixels.whole())
    assert (here.image != here.pixels.whole()).any()
