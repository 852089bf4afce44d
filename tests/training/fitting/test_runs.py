"""The folder of a run that another release left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[train]")

import keras

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.runs import load_network

pytestmark = pytest.mark.training


class _Layer(keras.layers.Layer):  # type: ignore[misc]
    """As a release may have had it, and no more."""

    def call(self, x: Any) -> Any:
        return x[..., :1]


def test_a_network_of_a_release_with_other_layers_is_refused_in_one_line(tmp_path: Path) -> None:
    frames = keras.layers.Input((None, None, 2))
    keras.Model(frames, _Layer()(frames)).save(tmp_path / "network.keras")
    with pytest.raises(SettingError, match="'recon-train fit' of this release") as refused:
        load_network(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.keras").write_bytes(b"nothing of the kind")
    with pytest.raises(SettingError, match=r"cannot read .*network\.keras"):
        load_network(tmp_path)
