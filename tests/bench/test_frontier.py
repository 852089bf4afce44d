"""The frontier of speed against error: what the cards say beside what is timed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install .[train]")


from fakes.networks import write_card, write_network
from smlm_bench import cli
from smlm_bench.speed.frontier import places
from smlm_pipeline.errors import SettingError
from smlm_training.delivery.card import SCORES

pytestmark = pytest.mark.training


def _network(folder: Path, name: str, nmse_percent: list[float]) -> Path:
    network = write_network(folder / name)
    scores = {"nmse_percent_at_blur_0_1_2_px": nmse_percent, "emitters_found_over_true": 1.01}
    told: dict[str, Any] = {
        SCORES: {"evaluate": scores},
        "parameters": 15,
        "training": {"recipe": {"network": name}},
    }
    write_card(network, **told)
    return network


def test_networks_are_shown_with_the_errors_of_their_cards(tmp_path: Path) -> None:
    files = [_network(tmp_path, "unet", [25, 5, 1.5]), _network(tmp_path, "unet-fast", [40, 9, 3])]
    words = [
        "frontier",
        *map(str, files),
        "--rounds",
        "1",
        "--precision",
        "f32",
        "-o",
        str(tmp_path / "out" / "f.json"),
    ]
    done = CliRunner().invoke(cli.app, [*words, "--figure", str(tmp_path / "out" / "f.png")])
    assert done.exit_code == 0, done.output
    assert "25.0 / 5.0 / 1.5" in done.stdout
    assert "…" not in done.stdout
    told = json.loads((tmp_path / "out" / "f.json").read_text())
    errors = {each["network"]: each["nmse_percent"] for each in told["networks"]}
    assert errors == {"unet": [25, 5, 1.5], "unet-fast": [40, 9, 3]}
    times_ms = [each["ms_per_frame"] for each in told["networks"]]
    assert times_ms == sorted(times_ms)
    assert times_ms[0] > 0
    assert told["frames"] == "4 of 64 x 64"
    assert all(each["precision"] == "f32" for each in told["networks"])
    assert (tmp_path / "out" / "f.png").read_bytes().startswith(b"\x89PNG")


def test_a_network_without_a_card_has_no_place(tmp_path: Path) -> None:
    network = _network(tmp_path, "unet", [25, 5, 1.5])
    network.with_name("model.json").unlink()
    with pytest.raises(SettingError, match=r"with its card model\.json beside it"):
        places([network], 1)
