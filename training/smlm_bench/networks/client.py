"""The client's whole path as a method of the comparison: what ``recon-client submit`` does."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.method import ZOOM, BlockResult
from smlm_pipeline import contract
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.run.refining import Refinement
from smlm_pipeline.settings import REFINE_AUTO, REFINE_OFF, Settings

_WHOLE_FILM = 1 << 40


class ClientNetwork(AbstractContextManager["ClientNetwork"]):
    """The client on a film: file, survey, levels, requests, sum, and refinement if asked for.

    **Equation.** x as `smlm_pipeline.reconstruction.reconstruct` makes it. A refined image is
    the density of molecules that explains the detections of all precision classes best
    (`smlm_pipeline.refine`), after as many steps as one half of the film foretells the other
    better. **Parameters.** The client's own: ``refine`` is auto or off. A film is one block,
    written to a TIFF file first.

    Parameters
    ----------
    engine : Engine
        Runs the network.
    model : str
        The ensemble that requests name.
    refine : bool
        Whether to refine the image.
    """

    def __init__(self, engine: Engine, model: str, *, refine: bool) -> None:
        self._engine = engine
        self._settings = Settings(
            model=model, zoom=ZOOM, refine=REFINE_AUTO if refine else REFINE_OFF
        )
        self._folder = tempfile.TemporaryDirectory(prefix="recon-table-")
        self.block_frames = _WHOLE_FILM
        self.parameters: dict[str, Any] = {
            "model": model,
            "model_version": engine.model_version,
            "refine": self._settings.refine,
            "precision": engine.network_engine.precision,
            "class_borders_px": engine.class_borders_px.get(contract.MAX_CLASSES, ()),
        }

    def __exit__(self, *_: object) -> None:
        """Remove the film's file."""
        self._folder.cleanup()

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """The image of a film (N, Y, X), and what the client says of its refinement."""
        path = Path(self._folder.name) / "film.tif"
        tifffile.imwrite(path, frames_adu, photometric="minisblack", metadata={"axes": "TYX"})
        with open_film(path) as film:
            found = reconstruct(film, self._engine, self._settings)
        image = found.image.astype(np.float64)
        return BlockResult(image, None, _remark(found.refinement, len(frames_adu)))


def _remark(refinement: Refinement | None, frames: int) -> str:
    if refinement is None:
        return ""
    ms_per_frame = 1e3 * refinement.elapsed_s / frames
    steps = f"{refinement.steps.taken} steps of refinement, stopped by {refinement.steps.stop}"
    if refinement.image is None:
        steps = f"the plain sum, not refined: {refinement.steps.stop}"
    return f"{steps}; it took {ms_per_frame:.2f} ms a frame"
