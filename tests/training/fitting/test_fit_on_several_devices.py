"""Training on several devices gives what one device gives: two logical CPUs stand for GPUs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

from fakes.processes import finished
from smlm_training.fitting.recipes import Recipe
from smlm_training.fitting.trainer import Trainer

pytestmark = pytest.mark.training

_PROGRAM = """
import json, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from smlm_training.fitting.fit import fit
from smlm_training.networks import NETWORKS
from smlm_training.networks.unet import unet
from smlm_training.fitting.recipes import Recipe
NETWORKS["unet"] = partial(unet, (16,))
ranges = replace(Recipe().ranges, patch_px=16, frames_per_film=4, emitters_max=60)
recipe = Recipe(batch=4, steps=6, float32_steps=6, epoch_steps=3, average_decay=0.5, ranges=ranges)
several = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
told = []
for name, strategy in (("one", None), ("two", several)):
    losses = []
    folder = Path(sys.argv[1]) / name
    network = fit(recipe, folder, strategy=strategy, tick=lambda _, loss: losses.append(loss))
    weights = [float(abs(weight).sum()) for weight in network.get_weights()]
    devices = json.loads((folder / "manifest.json").read_text())["devices"]
    told.append({"losses": losses, "weights": weights, "devices": devices})
print(json.dumps(told))
"""


def test_two_devices_train_as_one_does(tmp_path: Path) -> None:
    done = finished(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert (one["devices"], two["devices"]) == ("1 x CPU", "2 x CPU")
    assert len(one["losses"]) == 6
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-3)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-3)


def test_a_batch_is_shared_without_remainder() -> None:
    class _Three:
        num_replicas_in_sync = 3

    with pytest.raises(Exception, match="batch is 16, and there are 3 devices; expected a multip"):
        Trainer(Recipe(), _Three())
