"""The whole path: survey -> plan -> read ahead -> dispatch -> sinks -> drift, refinement -> image.

Read this first.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.engines.opening import Engine, EngineChoice, open_engine
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.remarks import remarks
from smlm_pipeline.film.survey import Survey, survey
from smlm_pipeline.run import dispatch
from smlm_pipeline.run.accumulate import Accumulator, SrImage
from smlm_pipeline.run.brightness import brightness_spread
from smlm_pipeline.run.canvas import Canvas, open_canvas
from smlm_pipeline.run.checkpoint import NO_CHECKPOINT, Checkpoint
from smlm_pipeline.run.events import SILENCE, Events
from smlm_pipeline.run.finish import Finish, Finished
from smlm_pipeline.run.identity import identity_of
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.missing import Missing
from smlm_pipeline.run.molecules import MoleculeSink
from smlm_pipeline.run.plan import RunPlan, fitted_plan, plan_run
from smlm_pipeline.run.read_ahead import ReadAhead
from smlm_pipeline.run.refining import RefinedImage, class_borders_px
from smlm_pipeline.run.sinks import Sinks
from smlm_pipeline.settings import DEFAULTS, Settings


@dataclass(frozen=True)
class Reconstruction(Finished):
    """The image and the facts of its making.

    ``image`` (zoom Y, zoom X) float32 is the expected number of emitters per SR pixel;
    ``shown`` reads the same by rows, while the canvas is open. ``survey`` has the film's levels,
    ``missing`` the chunks that the image lacks, where that was allowed, and ``failures`` the number
    of failed requests that were sent again, ``swapped_answers`` of them since the answer was to
    another request. ``frames_done`` were summed by this run and not by an earlier one.
    """

    plan: RunPlan
    survey: Survey
    engine: Engine
    missing: Missing
    failures: int
    swapped_answers: int
    elapsed_s: float
    frames_done: float

    @property
    def shown(self) -> SrImage | RefinedImage:
        """The image by rows: the refined one, or the plain sum."""
        refined_image = self.refinement.image if self.refinement is not None else None
        return self.pixels if refined_image is None else refined_image

    @property
    def image(self) -> NDArray[np.float32]:
        """All pixels at once: shape (zoom Y, zoom X), float32."""
        return self.shown.whole()

    @property
    def frame_count(self) -> int:
        """Frames of the film."""
        return self.plan.frame_count

    @property
    def chunk_count(self) -> int:
        """Chunks of the film."""
        return len(self.plan.chunks)

    @property
    def frames_per_s(self) -> float:
        """Frames a second, from the first read to the finished sum."""
        return self.frames_done / self.elapsed_s


def reconstruct(
    film: Film,
    engine: EngineChoice = "triton",
    settings: Settings = DEFAULTS,
    *,
    model_repository: Path | None = None,
    plan: RunPlan | None = None,
    canvas: Canvas | None = None,
    checkpoint: Checkpoint = NO_CHECKPOINT,
    molecules: MoleculeSink | None = None,
    pixel_size_nm: float | None = None,
    part: range | None = None,
    finish: Finish | None = None,
    events: Events = SILENCE,
) -> Reconstruction:
    """Reconstruct one super-resolution image from an open film of blinking molecules.

    Parameters
    ----------
    film, settings : Film and Settings
        What to reconstruct, and how to cut, send and draw it.
    engine, model_repository
        "triton" (the embedded server), "local" (this process), "HOST:PORT", or an open engine;
        the networks of an engine that is started here.
    plan, canvas, checkpoint, molecules, pixel_size_nm, part, finish, events
        Given by `submit`, or made for the film. Chunks outside of ``part`` are left out.

    Raises
    ------
    ReconError
        If the film cannot be read, or a chunk fails for good and must not be missing.

    Examples
    --------
    >>> image = reconstruct(open_film("stack.tif"), engine="local").image  # doctest: +SKIP
    """
    plan = plan or plan_run(film, settings, memory_limit_bytes(settings))
    finish = finish or Finish(film, settings, pixel_size_nm, molecules, whole=part is None)
    with finish, engine_opened(engine, settings, model_repository, events) as opened:
        plan = fitted_plan(plan, film, settings, opened.request_pixels).of_part(part)
        started, seen = time.perf_counter(), _seen(film, settings, plan, opened, checkpoint, events)
        borders_px = class_borders_px(opened, settings, plan, events)
        identity = identity_of(seen, settings.model, plan, opened, borders_px)
        sinks = Sinks(accumulator := _sum_of(plan, canvas), *finish.sinks(seen, plan))
        checkpoint.begin(sinks, identity, opened.check)
        events.progress(plan.frames_done(left := sinks.left(plan.chunks)))
        missing, limit = Missing(settings.allow_partial), plan.concurrency(opened.count_servers)
        with ReadAhead(film, left, seen.conditioning) as ahead, missing.end_of_server():
            asked = ahead.requests(plan.zoom, borders_px, **finish.wanted)
            sent = left, asked, opened.transport, limit, settings.attempts, missing.leave_out
            with closing(dispatch.run(*sent)) as answers:
                for chunk, answer in answers:
                    sinks.add(chunk, answer)
                    finish.follow(chunk, answer, plan, events)
                    checkpoint.keep()
        missing.close(sinks.left(plan.chunks), len(plan.chunks))
        rest = plan.whole_frames(missing.rest(left))
        facts = limit.failures, limit.swapped_answers, time.perf_counter() - started, rest
        finished = finish.of(accumulator, seen, borders_px, plan, events)
    return Reconstruction(plan, seen, opened, missing, *facts, **vars(finished))


def _sum_of(plan: RunPlan, canvas: Canvas | None) -> Accumulator:
    """An empty sum, with the planes of the plan."""
    return Accumulator(
        plan.height_px,
        plan.width_px,
        zoom=plan.zoom,
        classes=plan.classes,
        half_of=plan.half_of if plan.half_frames is not None else None,
        canvas=canvas or open_canvas(plan, Path(tempfile.gettempdir())),
    )


def _seen(
    film: Film,
    settings: Settings,
    plan: RunPlan,
    engine: Engine,
    checkpoint: Checkpoint,
    events: Events,
) -> Survey:
    """Begin: survey the film, look at its molecules, and report the remarks on it."""
    events.stage("surveying")
    seen = survey(film, settings)
    if settings.looks_at_molecules:
        events.stage("looking at molecules")
        servers = engine.transport, engine.count_servers
        spread = checkpoint.spread(lambda: brightness_spread(film, seen, *servers, plan, settings))
        seen = seen.with_spread(spread)
    for remark in remarks(seen, film.corner):
        events.note(remark)
    events.stage("reconstructing")
    return seen


@contextlib.contextmanager
def engine_opened(
    engine: EngineChoice,
    settings: Settings,
    model_repository: Path | None,
    events: Events,
) -> Iterator[Engine]:
    """Open the engine and report its notes."""
    with open_engine(
        engine,
        settings.model,
        timeout_s=settings.timeout_s,
        model_repository=model_repository,
        precision=settings.precision,
    ) as opened:
        for note in opened.notes:
            events.note(note)
        yield opened
