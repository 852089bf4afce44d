"""Networks that come with the comparison: rounded and packed, and found when nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")

import keras

from smlm_bench.networks import places
from smlm_bench.networks.loading import keras_network
from smlm_bench.networks.places import TRAINED_FOLDER, find_network
from smlm_bench.networks.shipping import ship_run
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.runs import MANIFEST_FILE, NETWORK_FILE
from smlm_training.networks import NETWORKS

pytestmark = pytest.mark.training

COMPARED = ("deep-storm", "unet-interpolated")


def test_a_shipped_network_answers_as_the_run_does_in_half_the_room(tmp_path: Path) -> None:
    run, shipped = tmp_path / "run", tmp_path / "shipped"
    run.mkdir()
    keras.utils.set_random_seed(4)
    network = NETWORKS["unet-interpolated"]()
    network.save(run / NETWORK_FILE)
    (run / MANIFEST_FILE).write_text(json.dumps({"recipe": {"network": "unet-interpolated"}}))
    assert ship_run(run, shipped) == shipped / "unet-interpolated" / NETWORK_FILE
    found = shipped / "unet-interpolated"
    assert json.loads((found / MANIFEST_FILE).read_text()) == {
        "recipe": {"network": "unet-interpolated"},
        "weights_rounded_to": "float16",
    }
    assert (found / NETWORK_FILE).stat().st_size < 0.65 * (run / NETWORK_FILE).stat().st_size
    frames = np.random.default_rng(1).normal(size=(2, 16, 16, 1)).astype(np.float32)
    np.testing.assert_allclose(
        keras_network("unet-interpolated", found).predict_on_batch(frames),
        network.predict_on_batch(frames),
        rtol=0.02,
        atol=1e-4,
    )


@pytest.mark.parametrize("network", COMPARED)
def test_what_is_compared_comes_along(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find_network(network, {})
    assert found == TRAINED_FOLDER / network
    recipe = json.loads((found / MANIFEST_FILE).read_text())["recipe"]
    assert recipe["network"] == network
    assert keras_network(network, found).name == network


def test_a_run_of_the_users_own_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("runs") / "deep-storm"
    own.mkdir(parents=True)
    (own / NETWORK_FILE).touch()
    assert find_network("deep-storm", {}) == own


def test_an_installation_without_the_networks_asks_for_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "TRAINED_FOLDER", tmp_path / "none")
    with pytest.raises(SettingError, match=r"not in the wheel: take a checkout, or train\."):
        find_network("deep-storm", {})
