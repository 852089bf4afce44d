"""What follows the sum of a run: its drift is taken out, it is measured and refined."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.run.accumulate import Accumulator, SrImage
from smlm_pipeline.run.drifting import DriftCorrection, corrected, drift_asked
from smlm_pipeline.run.events import Events
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.run.refining import Refinement, refined
from smlm_pipeline.run.resolving import Resolution, resolved
from smlm_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The images of a run, and how they were made and measured.

    ``pixels`` are those of the plain sum, without the drift that ``drift`` states, and
    ``uncorrected`` those before that. ``resolution`` is that of ``pixels``; ``refinement`` states
    how they were refined. Each is None where it was not asked for.
    """

    pixels: SrImage
    uncorrected: SrImage
    drift: DriftCorrection | None = None
    resolution: Resolution | None = None
    refinement: Refinement | None = None


class Finish(AbstractContextManager["Finish"]):
    """Finishes a run; ``molecules`` is the sink that the run must feed for that, if any.

    Parameters
    ----------
    film, settings : Film and Settings
        Those of the run.
    pixel_size_nm : float, optional
        Edge of a camera pixel, in place of the film's.
    molecules : MoleculeSink, optional
        The user's; by default one in a temporary folder, where drift needs it.
    whole : bool
        Whether the run is of the whole film; that of a part is not finished.

    Raises
    ------
    SettingError
        If the drift of a file is asked for, and that is not the film's.
    """

    def __init__(
        self,
        film: Film,
        settings: Settings,
        pixel_size_nm: float | None,
        molecules: MoleculeSink | None,
        *,
        whole: bool = True,
    ) -> None:
        self._whole = whole
        self._film, self._settings, self._pixel_size_nm = film, settings, pixel_size_nm
        self._asked = drift_asked(film, settings, pixel_size_nm)
        self._close = contextlib.ExitStack()
        self.molecules = molecules
        if molecules is None and self._asked is not None:
            folder = self._close.enter_context(tempfile.TemporaryDirectory(prefix="recon-"))
            least = contract.MOLECULE_PROBABILITY_MIN
            sink = MoleculeSink(Path(folder) / "run", least, film.corner)
            self.molecules = self._close.enter_context(sink)

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folder."""
        self._close.close()

    def sinks(self, seen: Survey) -> list[MoleculeSink]:
        """The sink of molecules, if there is one: it leaves out what the image leaves out."""
        if self.molecules is None:
            return []
        self.molecules.leave_out(seen.conditioning.blank)
        return [self.molecules]

    def of(
        self,
        accumulator: Accumulator,
        blank: NDArray[np.bool_],
        borders_px: Sequence[float],
        plan: RunPlan,
        events: Events,
    ) -> Finished:
        """Finish the sum of a run; 0 in the camera pixels (Y, X) that are blank."""
        settings, plain = self._settings, accumulator.image(blank)
        if not self._whole:
            return Finished(pixels=plain, uncorrected=plain)
        drift = corrected(accumulator, self.molecules, self._asked, plan, borders_px, events)
        best = accumulator if drift is None else drift.accumulator or accumulator
        resolution = None
        if settings.resolution:
            events.stage("measuring resolution")
            sr_pixel_nm = self._film.pixel_size(self._pixel_size_nm).nm / plan.zoom
            resolution = resolved(best, blank, plan, sr_pixel_nm)
        refinement = refined(best, blank, borders_px, settings, plan, events)
        return Finished(
            pixels=best.image(blank),
            uncorrected=plain,
            drift=drift,
            resolution=resolution,
            refinement=refinement,
        )
