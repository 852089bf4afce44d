"""``recon-train export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from smlm_pipeline import kernels
from smlm_pipeline.errors import SettingError
from smlm_training import presets
from smlm_training.commands.door import door


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="ONNX file to write.")],
) -> None:
    """Export a trained network to ONNX, with its card model.json beside it."""
    with door():
        import keras

        from smlm_training import networks  # noqa: F401 - registers the layers of the file
        from smlm_training.card import write_card
        from smlm_training.export import export as write

        trained = folder / "network.keras"
        if not trained.exists():
            raise SettingError(f"no {trained}; expected the folder of a finished 'recon-train fit'")
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        output.parent.mkdir(parents=True, exist_ok=True)
        done = write(keras.saving.load_model(trained), output, _reference_frames())
        card = write_card(
            output, manifest, parameters=done.parameters, parity=done.parity_max_difference
        )
        typer.echo(
            f"{output}: {done.parameters:,} parameters, {done.size_bytes / 1e6:.1f} MB, at most "
            f"{done.parity_max_difference:.1e} from Keras; {card}"
        )


def _reference_frames() -> NDArray[np.float32]:
    film = presets.preset_film("microtubules", seed=2, frames=16, height_px=64, width_px=64)
    levels = np.broadcast_to(kernels.film_levels(film.frames_adu), (16, 2))
    return kernels.normalize(film.frames_adu, levels)
