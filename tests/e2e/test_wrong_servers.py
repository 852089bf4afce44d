"""Servers that cannot do the work: each is told apart, with its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.real_servers import short_lived
from smlm_pipeline import contract
from smlm_pipeline.cli.app import app
from smlm_pipeline.deploy.staging import copy_of_ensemble
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.errors import ServerError

pytestmark = pytest.mark.triton


def _submit(film: Path, output: Path, server: EmbeddedServer, *options: str) -> tuple[int, str]:
    arguments = ["submit", str(film), "-o", str(output), "--server", server.address, "--quiet"]
    arguments += ["--pixel-size-nm", "100"]
    result = CliRunner().invoke(app, [*arguments, *options])
    return result.exit_code, result.stderr


def test_a_server_without_the_model(
    film_file: Path, tmp_path: Path, model_repository: Path
) -> None:
    shutil.copytree(model_repository / "summation", tmp_path / "models" / "summation")
    output = tmp_path / "image.tif"
    with short_lived(EmbeddedServer(tmp_path / "models")) as server:
        code, complaint = _submit(film_file, output, server)
        status = CliRunner().invoke(app, ["status", "--server", server.address, "--json"])
    assert code == 5
    assert "has no model 'reconstruction' that is ready" in complaint
    assert not output.exists()
    assert status.exit_code == 5
    told = {model["name"]: model["ready"] for model in json.loads(status.stdout)["models"]}
    assert told == {model.name: model.name == "summation" for model in contract.MODELS}


def test_a_server_that_serves_only_one_ensemble(
    film_file: Path, tmp_path: Path, model_repository: Path
) -> None:
    """A repository of before the map network is as good as ever for the image drawn."""
    for name in ("unet", "summation", "reconstruction"):
        shutil.copytree(model_repository / name, tmp_path / "models" / name)
    output = tmp_path / "image.tif"
    with short_lived(EmbeddedServer(tmp_path / "models")) as server:
        code, complaint = _submit(film_file, output, server, "--model", "reconstruction_map")
        assert not output.exists()
        status = CliRunner().invoke(app, ["status", "--server", server.address])
        assert _submit(film_file, output, server) == (0, "")
    assert code == 5
    assert "has no model 'reconstruction_map' that is ready" in complaint
    assert status.exit_code == 0
    assert status.stdout.count("yes") == 6
    assert output.exists()


def test_a_server_of_another_contract_version(
    film_file: Path, tmp_path: Path, model_repository: Path
) -> None:
    shutil.copytree(model_repository, tmp_path / "models")
    configuration = tmp_path / "models" / "reconstruction" / "config.pbtxt"
    stated = 'parameters { key: "contract_version" value { string_value: "%s" } }'
    text = configuration.read_text()
    assert stated % contract.CONTRACT_VERSION in text
    configuration.write_text(text.replace(stated % contract.CONTRACT_VERSION, stated % 99))
    with short_lived(EmbeddedServer(tmp_path / "models")) as server:
        code, complaint = _submit(film_file, tmp_path / "image.tif", server)
    assert code == 5
    assert "contract version 99" in complaint
    assert "one release" in complaint


def test_a_model_that_refuses_its_configuration_is_quoted(
    tmp_path: Path, model_repository: Path
) -> None:
    shutil.copytree(model_repository, tmp_path / "models")
    configuration = tmp_path / "models" / "summation" / "config.pbtxt"
    stated = f'string_value: "{contract.CONTRACT_VERSION}"'
    configuration.write_text(configuration.read_text().replace(stated, 'string_value: "7"'))
    with (
        pytest.raises(ServerError, match="states contract version 7"),
        EmbeddedServer(tmp_path / "models"),
    ):
        pass


def test_another_model_name(film_file: Path, tmp_path: Path, triton: EmbeddedServer) -> None:
    result = CliRunner().invoke(
        app,
        [
            "submit",
            str(film_file),
            "-o",
            str(tmp_path / "i.tif"),
            "--server",
            triton.address,
            "--model",
            "nonesuch",
        ],
    )
    assert result.exit_code == 5
    assert "has no model 'nonesuch'" in result.stderr


def test_a_fault_of_a_model_is_in_the_servers_log_and_not_in_the_answer(
    film_file: Path, tmp_path: Path
) -> None:
    repository = copy_of_ensemble(contract.RECONSTRUCTION.name, tmp_path)
    with (repository / "unet" / "1" / "model.py").open("a") as model:
        model.write(
            "from smlm_pipeline.serving import network\n"
            "def _fail(*_): raise OSError('secret.py is gone')\n"
            "network.check_frames = _fail\n"
        )
    log = tmp_path / "log"
    with short_lived(EmbeddedServer(repository, log_file=log)) as server:
        code, complaint = _submit(film_file, tmp_path / "image.tif", server)
    assert code == 6
    assert "failed with OSError; the server's log tells more" in " ".join(complaint.split())
    assert "secret" not in complaint
    assert "unet: Traceback (most recent call last):" in log.read_text()
    assert "OSError: secret.py is gone" in log.read_text()
