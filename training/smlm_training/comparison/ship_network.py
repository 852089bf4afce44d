"""Put a finished run among the networks that come with the comparison.

``python -m smlm_training.comparison.ship_network runs/deep-storm`` writes
``trained/deep-storm``: the run's manifest, and its network with weights rounded to
float16's eleven bits, so that the file packs to half its size. It stays a Keras file of float32.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer

from smlm_training.comparison.methods.network_files import TRAINED_FOLDER
from smlm_training.fitting.runs import MANIFEST_FILE, NETWORK_FILE, start_from_run


def ship(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[
        Path, typer.Option("-o", "--output", help="Where the networks lie.")
    ] = TRAINED_FOLDER,
) -> None:
    """Round, pack, and say so in the manifest."""
    manifest = start_from_run(run).manifest
    network = keras.saving.load_model(run / NETWORK_FILE)
    network.set_weights(
        [each.astype(np.float16).astype(np.float32) for each in network.get_weights()]
    )
    shipped = folder / manifest["recipe"]["network"]
    shipped.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / NETWORK_FILE
        network.save(saved)
        _repack(saved, shipped / NETWORK_FILE)
    told = json.dumps({**manifest, "weights_rounded_to": "float16"}, indent=2)
    (shipped / MANIFEST_FILE).write_text(told + "\n", encoding="utf-8")
    typer.echo(f"{shipped}: {(shipped / NETWORK_FILE).stat().st_size / 1e6:.1f} MB")


def _repack(saved: Path, packed: Path) -> None:
    """Keras stores its archive's members unpacked."""
    with (
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for member in source.namelist():
            target.writestr(member, source.read(member))


if __name__ == "__main__":
    typer.run(ship)
