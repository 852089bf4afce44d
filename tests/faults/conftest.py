"""The film of all fault tests, its undisturbed image, and a server that may die."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.dying_servers import kill
from smlm_pipeline import contract
from smlm_pipeline.local import LocalTransport
from smlm_pipeline.reconstruct import reconstruct
from smlm_pipeline.server import EmbeddedServer
from smlm_pipeline.settings import Settings
from smlm_pipeline.stack import open_stack
from smlm_training.comparison.ensemble_copy import copy_of_ensemble
from smlm_training.simulation.presets import preset_film


@pytest.fixture(scope="session")
def film_of_64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 frames of microtubules, 48 x 56 pixels: 32 requests of two frames."""
    frames_adu = preset_film(
        "microtubules", seed=21, frames=64, height_px=48, width_px=56
    ).frames_adu
    path = tmp_path_factory.mktemp("film") / "film.tif"
    tifffile.imwrite(path, frames_adu, photometric="minisblack")
    return path


@pytest.fixture(scope="session")
def undisturbed(film_of_64: Path, local_transport: LocalTransport) -> NDArray[np.float32]:
    """The image that no fault may change."""
    with open_stack(film_of_64) as film:
        image = reconstruct(film, local_transport, Settings()).image
    assert image.sum() > 100
    return image


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One ensemble: a server on it starts soon."""
    return copy_of_ensemble(contract.RECONSTRUCTION.name, tmp_path_factory.mktemp("small"))


@pytest.fixture
def mortal(small_repository: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own; at the end it is killed, since a hurt one stops slowly."""
    with EmbeddedServer(small_repository) as server:
        yield server
        with contextlib.suppress(ProcessLookupError):
            kill(server)
