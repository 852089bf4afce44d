"""The real server goes over to a version that is published, while it runs or at its next start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import write_network
from fakes.processes import wait_for
from fakes.real_servers import short_lived
from smlm_pipeline.engines import fleet
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_training.delivery.publish import STAGING_PREFIX, publish

pytestmark = pytest.mark.triton


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network(tmp_path / "exported")


@pytest.fixture
def repository(model_repository: Path, tmp_path: Path) -> Path:
    """The network without the models around it: a server loads each model by itself."""
    shutil.copytree(model_repository / "unet", tmp_path / "models" / "unet")
    return tmp_path / "models"


class _PollingServer(EmbeddedServer):
    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--model-control-mode=poll", "--repository-poll-secs=1"]


def _served_versions(server: EmbeddedServer) -> list[str]:
    with fleet.connect(server.servers, "unet") as transport:
        models = {model.name: model.versions for model in transport.status().models}
    return list(models["unet"])


def test_a_real_server_goes_over_to_the_new_version(
    network: Path, repository: Path, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    with short_lived(_PollingServer(repository, log_file=log)) as server:
        assert _served_versions(server) == ["1"]
        assert publish(network, repository).version == 2
        wait_for(lambda: _served_versions(server) == ["2"], "the server to load the new version")
    assert "failed to load" not in log.read_text()
    assert not list(repository.rglob(f"{STAGING_PREFIX}*"))


def test_a_server_started_later_serves_the_new_version(network: Path, repository: Path) -> None:
    assert publish(network, repository).version == 2
    with short_lived(EmbeddedServer(repository)) as server:
        assert _served_versions(server) == ["2"]
