"""The refinement of a run's sum: the refined image, and the facts of its making."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.errors import ContractError
from smlm_pipeline.refine.refinement import (
    GRAIN_PX,
    MOLECULES_LEAST,
    Blur,
    Steps,
    choose,
    class_sigmas_px,
    refine,
)
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.canvas import Canvas
from smlm_pipeline.run.events import Events
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.settings import AUTO_SR_PIXELS_MOST, REFINE_AUTO, Settings

_NOT_STATED = "the engine does not state the borders of its network's precision classes"


class Shown:
    """1 where there is a picture and 0 elsewhere, per SR pixel, read by rows.

    Parameters
    ----------
    blank : ndarray, shape (Y, X), bool
        Camera pixels that show no picture.
    zoom : int
        SR pixels along the edge of a camera pixel.
    """

    def __init__(self, blank: NDArray[np.bool_], zoom: int) -> None:
        self._shown, self._zoom = (~blank).astype(np.float32), zoom

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in SR pixels."""
        height_px, width_px = self._shown.shape
        return height_px * self._zoom, width_px * self._zoom

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows, shape (rows, width), float32."""
        row_px = np.arange(*rows.indices(self.shape[0])) // self._zoom
        rows_shown: NDArray[np.float32] = self._shown[row_px].repeat(self._zoom, axis=1)
        return rows_shown


class RefinedImage:
    """Molecules per SR pixel, read by rows out of a density.

    Parameters
    ----------
    density : Canvas
        Molecules per SR pixel, float32.
    factor : float
        What makes its sum that of the plain image to the last digit of float32.
    """

    def __init__(self, density: Canvas, factor: float) -> None:
        self._density, self._factor = density, np.float32(factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in SR pixels."""
        return self._density.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Rows of the image, shape (rows, width), float32."""
        first, last, _ = rows.indices(self.shape[0])
        image: NDArray[np.float32] = self._density.rows(first, last) * self._factor
        return image

    def whole(self) -> NDArray[np.float32]:
        """All rows at once: shape (zoom Y, zoom X), float32."""
        return self[:]


@dataclass(frozen=True)
class Refinement:
    """A refined image, and the facts of its making.

    ``image`` is None where the plain image is kept. ``grain_px`` is the sigma of its least
    structure, 0 for single SR pixels; ``class_borders_px`` and ``class_sigmas_px`` are the borders
    between the precision classes and the errors in each. All are in camera pixels.
    """

    image: RefinedImage | None
    asked: int | str
    steps: Steps
    grain_px: float
    class_borders_px: tuple[float, ...]
    class_sigmas_px: tuple[float, ...]
    elapsed_s: float

    def as_dict(self) -> dict[str, Any]:
        """The facts, for JSON."""
        steps = asdict(self.steps)
        return {
            "asked": self.asked,
            "steps": steps["taken"],
            "stopped_by": steps["stop"],
            "grain_px": round(self.grain_px, 4),
            "gain_nats_per_molecule": [round(gain, 5) for gain in steps["gains"]],
            "class_borders_px": list(self.class_borders_px),
            "class_sigmas_px": [round(sigma_px, 4) for sigma_px in self.class_sigmas_px],
            "elapsed_s": round(self.elapsed_s, 3),
        }

    @property
    def notes(self) -> list[str]:
        """What the user should know of it."""
        if self.steps.stop == "too large":
            return [
                f"--refine {REFINE_AUTO} is for images of up to {AUTO_SR_PIXELS_MOST / 1e6:.0f} "
                "million SR pixels, so this one is the plain sum; --refine 3 takes three steps"
            ]
        if self.steps.stop == "few molecules":
            return [
                f"too few molecules for --refine {REFINE_AUTO} (expected {MOLECULES_LEAST:,.0f}), "
                "so the image is the plain sum"
            ]
        if self.steps.stop == "no gain":
            return [
                "a refined half of the film foretells the other half no better, so the image is "
                "the plain sum: the film is too short or its sample shows no structure"
            ]
        lost = sum(1 for gain in self.steps.gains if gain < 0)
        if self.steps.stop == "as asked" and lost:
            return [
                f"--refine {self.asked} sharpens noise: {lost} of its steps made one half of the "
                f"film foretell the other worse; --refine {REFINE_AUTO} stops before"
            ]
        return []


def class_borders_px(
    engine: Engine, settings: Settings, plan: RunPlan, events: Events
) -> tuple[float, ...]:
    """Borders between the precision classes of a run; empty where the image is not refined.

    Raises
    ------
    ContractError
        If a number of steps is asked for and the engine does not state the borders.
    """
    if not plan.refines:
        return ()
    borders_px = engine.class_borders_px.get(contract.MAX_CLASSES)
    if borders_px is not None:
        return borders_px
    if settings.refine == REFINE_AUTO:
        events.note(f"{_NOT_STATED}, so the image is the plain sum")
        return ()
    raise ContractError(
        f"{_NOT_STATED}, which --refine {settings.refine} needs; serve a network that "
        "'recon-train publish' has written into the repository, or leave --refine out"
    )


def refined(
    accumulator: Accumulator,
    blank: NDArray[np.bool_],
    borders_px: Sequence[float],
    settings: Settings,
    plan: RunPlan,
    events: Events,
) -> Refinement | None:
    """Refine the sum of a run; None where that is not wanted, or it has no precision classes.

    Parameters
    ----------
    accumulator : Accumulator
        The sum of each class and half of the film.
    blank : ndarray, shape (Y, X), bool
        Camera pixels that show no picture; the image is 0 there.
    borders_px : sequence of float
        Borders between the classes, in camera pixels.
    settings, plan : Settings and RunPlan
        Those of the run.
    events : Events
        Hears that the stage begins.
    """
    if not plan.refines and settings.may_refine:
        return Refinement(None, settings.refine, Steps(0, (), "too large"), 0.0, (), (), 0.0)
    if not borders_px:
        return None
    events.stage("refining")
    started = time.perf_counter()
    sigmas_px = class_sigmas_px(borders_px)
    in_sr_pixels = [plan.zoom * sigma_px for sigma_px in sigmas_px]
    grained, sharp = Blur.of(in_sr_pixels, plan.zoom * GRAIN_PX), Blur.of(in_sr_pixels)
    plain = accumulator.image(blank)
    open_density = functools.partial(accumulator.canvas.beside, plain.shape, np.float32)
    asked = None if isinstance(settings.refine, str) else settings.refine
    shown = Shown(blank, plan.zoom)
    halves = accumulator.class_images(blank)

    def begin_step(number: int) -> None:
        events.stage(f"refining, step {number}")

    blur, steps = choose(halves, shown, grained, sharp, open_density, asked, begin_step)
    image, emitters = None, plain.emitters()
    if steps.taken and emitters:
        density = open_density()
        total = refine(accumulator.both_halves(blank), shown, blur, density, steps.taken)
        image = RefinedImage(density, emitters / total)
    elapsed_s = time.perf_counter() - started
    classes = tuple(borders_px), tuple(sigmas_px)
    grain_px = blur.grain_px / plan.zoom
    return Refinement(image, settings.refine, steps, grain_px, *classes, elapsed_s)
