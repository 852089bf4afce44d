"""What ``publish`` states in the configurations of a network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import CLASS_BORDERS_PX, write_network
from smlm_pipeline import contract
from smlm_training.delivery import publish as publishing
from smlm_training.delivery.configuration import configure
from smlm_training.delivery.publish import publish


def _stated(file: Path) -> dict[str, str]:
    stated = re.findall(r'key: "(\w+)" value \{ string_value: "([^"]*)"', file.read_text())
    parameters = dict(stated)
    assert len(parameters) == len(stated)
    return parameters


RANGES = {"density_per_um2": [0.3, 9.0], "sigma_px": [0.9, 1.6]}


def test_configurations_state_what_the_card_does(repository: Path, tmp_path: Path) -> None:
    """In the lines of before; all else stays, and an empty file gets them too."""
    network = write_network(tmp_path / "new", training={"recipe": {"ranges": RANGES}})
    folder = repository / "unet"
    on_gpu, on_cpu = folder / "config.pbtxt", folder / "configs" / "cpu.pbtxt"
    before = on_gpu.read_text().splitlines()
    on_cpu.write_text("")
    publish(network, repository)
    borders = "0.12; 0.1 0.15; 0.09 0.12 0.18"
    assert _stated(on_gpu)["class_borders_px"] == borders
    ranges = "molecules_per_100_px 0 9; sigma_px 0.9 1.6"
    stated = {"request_pixels": "1048576", "class_borders_px": borders, "trained_ranges": ranges}
    assert _stated(on_cpu) == stated
    after = on_gpu.read_text().splitlines()
    changed = [new for new, old in zip(after, before, strict=True) if new != old]
    assert [borders in changed[0], ranges in changed[1]] == [True, True]
    assert len(changed) == 2


def test_ranges_of_another_network_do_not_stay(network: Path, repository: Path) -> None:
    """This one's card states none."""
    on_gpu = repository / "unet" / "config.pbtxt"
    assert "trained_ranges" in _stated(on_gpu)
    publish(network, repository)
    assert "trained_ranges" not in _stated(on_gpu)


def test_the_newest_version_rules_the_configurations(
    network: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program publishes before this one has written what its card states."""
    newer = write_network(tmp_path / "newer", class_borders_px={**CLASS_BORDERS_PX, "2": [0.2]})

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(publishing, "configure", configure)
        assert publish(newer, repository).version == 3
        configure(*arguments)

    monkeypatch.setattr(publishing, "configure", late)
    assert publish(network, repository).version == 2
    for name in ("config.pbtxt", "configs/cpu.pbtxt"):
        assert _stated(repository / "unet" / name)["class_borders_px"].startswith("0.2; ")


@pytest.mark.parametrize("name", contract.NETWORKS)
def test_configurations_that_ship_are_as_published(
    name: str, model_repository: Path, tmp_path: Path
) -> None:
    """If this fails: publish the network, or write its card's borders into them."""
    folder = Path(shutil.copytree(model_repository / name, tmp_path / name))
    files = [folder / "config.pbtxt", folder / "configs" / "cpu.pbtxt"]
    before = [file.read_text() for file in files]
    card = json.loads((folder / "1" / "model.json").read_text())
    configure(folder, contract.ensemble_of(name).answer, card)
    assert [file.read_text() for file in files] == before
