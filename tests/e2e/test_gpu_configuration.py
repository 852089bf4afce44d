"""The real server understands the networks' GPU configurations, up to the backend that it lacks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from smlm_pipeline import contract
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.errors import ServerError

pytestmark = pytest.mark.triton


class _GpuServer(EmbeddedServer):
    """Not told to take the CPU's configurations."""

    def _arguments(self) -> list[str]:
        return [each for each in super()._arguments() if each != "--model-config-name=cpu"]


def _complaints(repository: Path, log: Path) -> dict[str, str]:
    """Why each model was not loaded."""
    server = _GpuServer(repository, log_file=log)
    with pytest.raises(ServerError, match=r"ended while starting: .*failed to load"), server:
        pytest.fail("it has a TensorRT backend")
    found = re.findall(r"failed to load '(\w+)' version 1: (.*)\"", log.read_text())
    return dict(found)


@pytest.fixture
def repository(model_repository: Path, tmp_path: Path) -> Path:
    for name in contract.NETWORKS:
        shutil.copytree(model_repository / name, tmp_path / "models" / name)
    return tmp_path / "models"


def test_only_the_backend_is_missing(repository: Path, tmp_path: Path) -> None:
    found = _complaints(repository, tmp_path / "server.log")
    assert set(found) == set(contract.NETWORKS)
    for complaint in found.values():
        assert "unable to find backend library for backend 'tensorrt'" in complaint


def test_a_configuration_that_makes_no_sense_would_be_told(
    repository: Path, tmp_path: Path
) -> None:
    file = repository / contract.UNET.name / "config.pbtxt"
    file.write_text(file.read_text().replace("[ -1, -1, -1, 2 ]", "[ -1, -1, 0, 2 ]"))
    server = _GpuServer(repository, log_file=tmp_path / "server.log")
    with pytest.raises(ServerError, match="dimension must be integer >= 1, or -1"), server:
        pytest.fail("it took frames without width")
