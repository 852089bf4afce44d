"""A run's network, rounded to half precision and packed, among the comparison's networks."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

from smlm_bench.networks.places import TRAINED_FOLDER
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.runs import MANIFEST_FILE, NETWORK_FILE, start_from_run


def ship_run(run: Path, folder: Path) -> Path:
    """Round a network's weights, pack it, and state both in its manifest.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    folder : Path
        Folder of the comparison's networks; each has a folder there by its name.

    Returns
    -------
    Path
        The packed network.

    Raises
    ------
    SettingError
        If there is no finished run, or the comparison's own networks are not installed.
    """
    if folder == TRAINED_FOLDER and not folder.is_dir():
        raise SettingError(
            f"there is no folder {folder}; expected that of a checkout: take a checkout, or name "
            "another folder with -o"
        )
    manifest = start_from_run(run).manifest
    network = keras.saving.load_model(run / NETWORK_FILE)
    network.set_weights(
        [weights.astype(np.float16).astype(np.float32) for weights in network.get_weights()]
    )
    shipped = folder / str(manifest["recipe"]["network"])
    shipped.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / NETWORK_FILE
        network.save(saved)
        _repack(saved, shipped / NETWORK_FILE)
    text = json.dumps({**manifest, "weights_rounded_to": "float16"}, indent=2)
    (shipped / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
    return shipped / NETWORK_FILE


def _repack(saved: Path, packed: Path) -> None:
    """Compress the members of an archive, which Keras stores uncompressed."""
    with (
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for member in source.namelist():
            target.writestr(member, source.read(member))
