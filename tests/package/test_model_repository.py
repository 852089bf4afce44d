"""Finding the model repository and the network in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smlm_pipeline import contract, model_repository
from smlm_pipeline.errors import ContractError, SettingError


def _repository(folder: Path, *files: str) -> Path:
    for name in ("reconstruction/config.pbtxt", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_checkout_has_one_with_a_network() -> None:
    found = model_repository.find_model_repository()
    assert found.is_absolute()
    assert found.name == "model_repository"
    for name in contract.NETWORKS:
        assert model_repository.network_file(found, name).parts[-3:] == (name, "1", "model.onnx")


def test_its_networks_compute_in_bfloat16_where_a_processor_has_it() -> None:
    """README's speeds are those of bfloat16: float32 takes twice as long."""
    found = model_repository.find_model_repository()
    for name in contract.NETWORKS:
        network = model_repository.network_file(found, name)
        assert model_repository.cpu_precision(network) == "bf16", name


def test_an_installed_one_goes_before_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_repository, "_INSTALLED", _repository(tmp_path / "installed"))
    assert model_repository.find_model_repository() == tmp_path / "installed"


def test_the_given_one_is_taken_and_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _repository(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert model_repository.find_model_repository(Path("mine")) == tmp_path / "mine"


def test_the_given_one_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no model repository at .*nothing: .* --model-repo"):
        model_repository.find_model_repository(tmp_path / "nothing")


def test_one_of_another_contract_is_refused(tmp_path: Path) -> None:
    """Its networks read other tensors: in a server they would fail one by one."""
    configuration = _repository(tmp_path / "mine") / "reconstruction" / "config.pbtxt"
    shipped = model_repository.find_model_repository() / "reconstruction" / "config.pbtxt"
    present = f'string_value: "{contract.CONTRACT_VERSION}"'
    configuration.write_text(shipped.read_text().replace(present, 'string_value: "2"'))
    with pytest.raises(ContractError, match="mine is of contract version 2; this release takes 3"):
        model_repository.find_model_repository(tmp_path / "mine")


def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_INSTALLED", "_CHECKOUT"):
        monkeypatch.setattr(model_repository, name, tmp_path / name)
    with pytest.raises(
        SettingError, match=r"no model repository at .*_CHECKOUT: expected a folder"
    ):
        model_repository.find_model_repository()


def test_the_newest_network_is_taken(tmp_path: Path) -> None:
    """Versions are numbers: 10 comes after 9, and what is no number is no version."""
    names = ("9", "10", "draft", "configs")
    _repository(tmp_path, *(f"unet/{name}/model.onnx" for name in names), "unet/11/model.plan")
    _repository(tmp_path, "unet_map/12/model.onnx")
    newest = tmp_path / "unet" / "10" / "model.onnx"
    assert model_repository.network_file(tmp_path, "unet") == newest


@pytest.mark.parametrize("files", [(), ("unet/1/model.plan",), ("unet/model.onnx",)])
def test_a_repository_without_a_network(tmp_path: Path, files: tuple[str, ...]) -> None:
    _repository(tmp_path, *files)
    with pytest.raises(SettingError, match=r"no network in .*unet: expected 1/model\.onnx"):
        model_repository.network_file(tmp_path, "unet")


def test_ranges_are_those_of_the_card(tmp_path: Path) -> None:
    network = tmp_path / "model.onnx"
    network.write_bytes(b"a network")
    ranges = {"sigma_px": [0.9, 1.6], "density_per_um2": [0.3, 9], "patch_px": 40}
    training = {"recipe": {"ranges": {**ranges, "emitters_max": 320}}}
    card = {"sha256": model_repository.network_sha256(network), "training": training}
    network.with_name("model.json").write_text(json.dumps(card))
    found = model_repository.trained_ranges(network)
    assert found == {"molecules_per_100_px": (0, 20), "sigma_px": (0.9, 1.6)}
    assert contract.ranges_of(contract.ranges_text(found)) == found
    network.write_bytes(b"another network")
    assert model_repository.trained_ranges(network) == {}


def test_the_shipped_networks_state_their_ranges() -> None:
    found = model_repository.find_model_repository()
    for name in contract.NETWORKS:
        ranges = model_repository.trained_ranges(model_repository.network_file(found, name))
        low, high = ranges[contract.WIDTH_RANGE]
        assert 0.5 < low < 1.3 < high
        assert ranges[contract.DENSITY_RANGE][1] >= 9
