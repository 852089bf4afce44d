"""The repository of a server with one client: the same models, without bounds of their queues."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from smlm_pipeline import contract
from smlm_pipeline.engines import private_repository


def _parsed(file: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())


def test_configurations_are_those_of_the_cpu_but_for_their_queues(
    model_repository: Path, tmp_path: Path
) -> None:
    made = tmp_path / "models"
    private_repository.make(model_repository, made)
    assert {each.name for each in made.iterdir()} == {each.name for each in contract.MODELS}
    bounded = 0
    for model in made.iterdir():
        source = model_repository / model.name
        cpu = source / "configs" / "cpu.pbtxt"
        expected = _parsed(cpu if cpu.exists() else source / "config.pbtxt")
        bounded += expected.HasField("dynamic_batching")
        expected.ClearField("dynamic_batching")
        assert _parsed(model / "config.pbtxt") == expected
        assert not (model / "configs").exists()
        assert (model / "1").resolve() == (source / "1").resolve()
    assert bounded == len(contract.NETWORKS) + 2  # and the two summations


def test_a_configuration_that_cannot_be_read_is_left_to_triton(tmp_path: Path) -> None:
    broken = tmp_path / "repository" / "unet"
    broken.mkdir(parents=True)
    (broken / "config.pbtxt").write_text("name: unet {")
    private_repository.make(tmp_path / "repository", tmp_path / "models")
    assert (tmp_path / "models" / "unet" / "config.pbtxt").read_text() == "name: unet {"


def test_files_beside_the_models_are_linked(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "notes.txt").write_text("mine")
    private_repository.make(tmp_path / "repository", tmp_path / "models")
    assert (tmp_path / "models" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("a: 1\ndynamic_batching { }\nb: 2", "a: 1\n\nb: 2"),
        ("dynamic_batching: { default_queue_policy { max_queue_size: 8 } } b: 2", " b: 2"),
        ('# dynamic_batching {\nb: "}{"', '# dynamic_batching {\nb: "}{"'),
        ('dynamic_batching { # }\n x: "}" } c: 3', " c: 3"),
        ("step { dynamic_batching { } }", "step { dynamic_batching { } }"),
        ("dynamic_batching { ", "dynamic_batching { "),
    ],
)
def test_the_queue_alone_is_left_out(configuration: str, expected: str) -> None:
    assert private_repository.without_queue(configuration) == expected
