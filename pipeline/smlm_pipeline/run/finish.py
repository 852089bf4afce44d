"""What follows the sum of a run: its drift is taken out, it is measured and refined."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.run.accumulate import Accumulator, SrImage
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.comparing import Comparison, compared
from smlm_pipeline.run.drift_hint import DriftHint
from smlm_pipeline.run.drifting import (
    DriftAsked,
    DriftCorrection,
    DriftFound,
    corrected,
    drift_asked,
    drift_found,
)
from smlm_pipeline.run.events import Events
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.run.refining import Refinement, refined
from smlm_pipeline.run.resolving import Resolution, resolved
from smlm_pipeline.run.sinks import Sink
from smlm_pipeline.run.wide_field import WideField
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM, Settings


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The images of a run, and how they were made and measured.

    ``pixels`` are those of the plain sum, without the drift that ``drift`` states, and
    ``uncorrected`` those before that. ``resolution`` is that of ``pixels``; ``refinement`` states
    how they were refined. ``comparison`` is that of ``uncorrected`` with the wide field, which has
    the same drift. Each is None where it was not asked for. ``hints`` are notes on drift that is
    left in them.
    """

    pixels: SrImage
    uncorrected: SrImage
    comparison: Comparison | None = None
    drift: DriftCorrection | None = None
    resolution: Resolution | None = None
    refinement: Refinement | None = None
    hints: tuple[str, ...] = ()

    @property
    def drift_words(self) -> tuple[str, ...]:
        """All that is known of the drift, in sentences: the notes and the page state these."""
        stated = () if self.drift is None else (self.drift.words,)
        return (*self.hints, *stated)


class _Sum(NamedTuple):
    """What a run has summed."""

    accumulator: Accumulator
    seen: Survey
    borders_px: Sequence[float]
    plan: RunPlan


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
    later : bool
        Whether the run is finished by `complete` alone, when another channel is summed too.

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
        later: bool = False,
    ) -> None:
        self._whole, self._later = whole, later
        self._sum: _Sum | None = None
        self._film, self._settings, self._pixel_size_nm = film, settings, pixel_size_nm
        self._asked = drift_asked(film, settings, pixel_size_nm)
        self._close = contextlib.ExitStack()
        self._wide_field: WideField | None = None
        self._hint: DriftHint | None = None
        self.molecules = molecules
        if molecules is None and self._asked is not None:
            folder = self._close.enter_context(tempfile.TemporaryDirectory(prefix="recon-"))
            least = contract.MOLECULE_PROBABILITY_MIN
            sink = MoleculeSink(Path(folder) / "run", least, film.corner)
            self.molecules = self._close.enter_context(sink)

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folder."""
        self._close.close()

    @property
    def wanted(self) -> dict[str, bool]:
        """What requests ask for beside the sums, by the parameters of `request_of`."""
        return {"molecules": self.molecules is not None, "light": self._settings.error_map}

    def sinks(self, seen: Survey, plan: RunPlan) -> list[Sink]:
        """The sinks of molecules and of the wide field, where they are needed.

        That of molecules leaves out what the image leaves out.
        """
        sinks: list[Sink] = []
        if self.molecules is not None:
            self.molecules.leave_out(seen.conditioning.blank)
            sinks.append(self.molecules)
        if self._settings.error_map:
            self._wide_field = WideField(plan.height_px, plan.width_px, plan.chunks)
            sinks.append(self._wide_field)
        return sinks

    def follow(self, chunk: Chunk, answer: ChunkAnswer, plan: RunPlan, events: Events) -> None:
        """Count a chunk that was added to the sum."""
        settings, frames = self._settings, plan.whole_frames([chunk])
        given = settings.drift_file is not None
        hints = self._whole and not (given or settings.makes_maps)
        if hints and self._hint is None:
            self._hint = DriftHint(plan)
        if self._hint is not None:
            self._hint.follow(chunk, answer.sums, frames)
        events.progress(frames)

    def of(
        self,
        accumulator: Accumulator,
        seen: Survey,
        borders_px: Sequence[float],
        plan: RunPlan,
        events: Events,
    ) -> Finished:
        """Finish the sum of a run; 0 in the camera pixels that show no picture."""
        self._sum = _Sum(accumulator, seen, borders_px, plan)
        if self._whole and not self._later:
            return self.complete(events)
        plain = accumulator.image(seen.conditioning.blank)
        return Finished(pixels=plain, uncorrected=plain)

    @property
    def drifting(self) -> tuple[MoleculeSink, DriftAsked] | None:
        """The molecules that show the drift and what is asked of it, if it is to be corrected."""
        if self.molecules is None or self._asked is None:
            return None
        return self.molecules, self._asked

    def complete(self, events: Events, drift: DriftFound | None = None) -> Finished:
        """Finish the sum of the run, with this drift or else the one of its own molecules."""
        if self._sum is None:
            raise ValueError("nothing is summed yet; expected a run of this film before")
        accumulator, seen, borders_px, plan = self._sum
        settings, blank = self._settings, seen.conditioning.blank
        plain = accumulator.image(blank)
        comparison = None
        if self._wide_field is not None:
            events.stage("comparing with the wide field")
            comparison = compared(plain, self._wide_field, blank, plan, seen)
        correction = None
        if (drifting := self.drifting) is not None:
            events.stage("correcting drift")
            found = drift or drift_found([drifting])
            correction = corrected(accumulator, *drifting, found, plan, borders_px)
        best = accumulator if correction is None else correction.accumulator or accumulator
        resolution = None
        if settings.resolution:
            events.stage("measuring resolution")
            sr_pixel_nm = self._film.pixel_size(self._pixel_size_nm).nm / plan.zoom
            resolution = resolved(best, blank, plan, sr_pixel_nm)
        refinement = refined(best, blank, borders_px, settings, plan, events)
        return Finished(
            pixels=best.image(blank),
            uncorrected=plain,
            comparison=comparison,
            drift=correction,
            resolution=resolution,
            refinement=refinement,
            hints=self._hints(accumulator, plan, correction),
        )

    def _hints(
        self, accumulator: Accumulator, plan: RunPlan, correction: DriftCorrection | None
    ) -> tuple[str, ...]:
        """Notes on drift that is left; a doubt about the size of pixels is no reason to fail."""
        if self._hint is None or (correction is not None and correction.applied is not None):
            return ()
        pixel_nm = self._pixel_size_nm or self._film.pixel_size_nm or DEFAULT_PIXEL_SIZE_NM
        sr_pixel_nm, estimated = pixel_nm / plan.zoom, correction is not None
        return tuple(self._hint.notes(accumulator.image(), sr_pixel_nm, estimated=estimated))
