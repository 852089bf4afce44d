"""What the ``model.py`` files refuse when a server starts them, and what they take."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.network_inputs import frames_and_levels, tensors
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import CONFIGURATIONS, ServedModel, configuration
from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError
from smlm_pipeline.model_repository import network_file


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_another_contract_is_refused_at_the_start(name: str) -> None:
    other = configuration(name)
    other["parameters"][contract.CONTRACT_PARAMETER]["string_value"] = "99"
    words = f"the configuration of '{name}' states contract version 99"
    with pytest.raises(ContractError, match=words):
        ServedModel(MODEL_REPOSITORY / name, other)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_contract_is_refused_at_the_start(name: str) -> None:
    other = configuration(name)
    del other["parameters"][contract.CONTRACT_PARAMETER]
    with pytest.raises(ContractError, match="states contract version None"):
        ServedModel(MODEL_REPOSITORY / name, other)


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("side", ["input", "output"])
def test_other_tensors_are_refused_at_the_start(name: str, side: str) -> None:
    other = configuration(name)
    other[side][0]["name"] = "PIXELS"
    with pytest.raises(ContractError, match=rf"the {side}s of '{name}' are \['PIXELS'"):
        ServedModel(MODEL_REPOSITORY / name, other)


def test_unet_takes_the_network_of_its_own_version(tmp_path: Path) -> None:
    """Version 2 of the model beside version 1 has a file of its own."""
    shutil.copytree(MODEL_REPOSITORY / "unet" / "1", tmp_path / "unet" / "2")
    model = ServedModel(tmp_path / "unet", configuration("unet"), version="2")
    (found,) = model.execute(tensors(*frames_and_levels(1, 16, 16)))
    assert not isinstance(found, str), found
    assert found["DETECTIONS"].shape == (1, 7, 16, 16)


@pytest.mark.parametrize(("name", "other"), [("unet", "unet_map"), ("unet_map", "unet")])
def test_the_other_network_is_refused_at_the_start(tmp_path: Path, name: str, other: str) -> None:
    shutil.copytree(MODEL_REPOSITORY / name, tmp_path / name)
    shutil.copy(network_file(MODEL_REPOSITORY, other), tmp_path / name / "1" / "model.onnx")
    with pytest.raises(ContractError, match=f"the network of '{name}' answers with .*; expected"):
        ServedModel(tmp_path / name, configuration(name))
