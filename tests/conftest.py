"""Fixtures of more than one folder of tests."""

from __future__ import annotations

import csv
import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.images import why_no_images
from fakes.places import SHARED_DATA
from fakes.real_servers import short_lived
from fakes.slurm import why_no_slurm
from smlm_pipeline import contract
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.triton_wheel import check_platform
from smlm_pipeline.errors import ServerError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.simulation.presets import preset_film

THUNDERSTORM = SHARED_DATA / "thunderstorm"

pytest_plugins = ["fakes.gpu_devices", "fakes.publishing", "fakes.termination"]


@dataclass(frozen=True)
class ThunderStorm:
    """ThunderSTORM's demonstration film and its truth, in camera pixels of 100 nm."""

    stack: Path
    frames_adu: NDArray[np.uint16]
    y_px: NDArray[np.float64]
    x_px: NDArray[np.float64]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the real server where it cannot run, and say why."""
    if item.get_closest_marker("triton"):
        try:
            check_platform()
        except ServerError as error:
            pytest.skip(str(error))
    if item.get_closest_marker("gpu") and (reason := why_no_gpu()):
        pytest.skip(reason)
    if item.get_closest_marker("slurm") and (reason := why_no_slurm()):
        pytest.skip(reason)
    if item.get_closest_marker("images") and (reason := why_no_images()):
        pytest.skip(reason)


@functools.cache
def why_no_gpu() -> str | None:
    """What keeps CuPy from a GPU here, or None."""
    try:
        cupy = importlib.import_module("cupy")
        cupy.cuda.runtime.getDeviceCount()
    except ImportError:
        return "CuPy is not installed (smlm-recon[gpu])"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU: {error}"
    return None


@pytest.fixture(scope="session")
def thunderstorm() -> ThunderStorm:
    if not THUNDERSTORM.exists():
        pytest.skip("../shared/data/thunderstorm is not there")
    with (THUNDERSTORM / "positions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    y_px, x_px = (
        np.array([float(row[name]) for row in rows]) / 100 for name in ("y [nm]", "x [nm]")
    )
    stack = THUNDERSTORM / "stack.tif"
    return ThunderStorm(stack, tifffile.imread(stack), y_px, x_px)


@pytest.fixture(scope="session")
def model_repository() -> Path:
    return find_model_repository()


@pytest.fixture(scope="session")
def local_transport(model_repository: Path) -> LocalTransport:
    return LocalTransport(network_file(model_repository, contract.UNET.name))


@pytest.fixture(scope="session")
def map_transport(model_repository: Path) -> LocalTransport:
    return LocalTransport(network_file(model_repository, contract.UNET_MAP.name))


@pytest.fixture(scope="session")
def film_adu() -> NDArray[np.uint16]:
    """40 frames of microtubules, 48 x 56 pixels: neither a square nor a power of two."""
    return preset_film("microtubules", seed=11, frames=40, height_px=48, width_px=56).frames_adu


@pytest.fixture(scope="session")
def film_file(film_adu: NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.tif"
    tifffile.imwrite(path, film_adu, photometric="minisblack")
    return path


@pytest.fixture(scope="session")
def triton(model_repository: Path) -> Iterator[EmbeddedServer]:
    """One real server for all tests that only send requests to it."""
    with short_lived(EmbeddedServer(model_repository)) as server:
        yield server


# --- for faults/ ---------------------------------------------------------------------------


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
    with open_film(film_of_64) as film:
        image = reconstruct(film, local_transport, Settings(refine="off", brightness="off")).image
    assert image.sum() > 100
    return image


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one ensemble: its server starts in half the time."""
    return copy_of_ensemble(contract.RECONSTRUCTION.name, tmp_path_factory.mktemp("small"))


@pytest.fixture
def mortal(small_repository: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may harm."""
    with short_lived(EmbeddedServer(small_repository)) as server:
        yield server
