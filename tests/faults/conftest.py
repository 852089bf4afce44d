"""The film of all fault tests, its undisturbed image, and the command that is disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smlm_pipeline.local import LocalTransport
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_training.simulation.presets import preset_film

FRAMES, CHUNK_FRAMES = 64, 2


@pytest.fixture(scope="session")
def faults_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 frames of microtubules, 48 x 56 pixels: 32 requests of two frames."""
    frames_adu = preset_film(
        "microtubules", seed=21, frames=FRAMES, height_px=48, width_px=56
    ).frames_adu
    path = tmp_path_factory.mktemp("film") / "film.tif"
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    return path


@pytest.fixture(scope="session")
def undisturbed(faults_film: Path, local_transport: LocalTransport) -> NDArray[np.float32]:
    """The image that no fault may change."""
    with open_stack(faults_film) as film:
        return reconstruct(film, local_transport, Settings()).image
