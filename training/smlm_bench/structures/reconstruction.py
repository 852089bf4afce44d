"""A film through the product's own path, with its image in halves and its molecules.

It is the path of `smlm_pipeline.reconstruction` with the same parts: a TIFF file, survey, levels,
chunks, requests, the network and the drawing of the local engine. Chunks go by turns to two sums.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.structures.beads import Halves
from smlm_bench.structures.shape import PIXEL_SIZE_NM
from smlm_pipeline import contract
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.survey import survey
from smlm_pipeline.localise.table import Localisations
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.brightness import brightness_spread
from smlm_pipeline.run.memory_budget import memory_limit_bytes
from smlm_pipeline.run.plan import plan_run
from smlm_pipeline.run.requests import request_of
from smlm_pipeline.settings import REFINE_OFF, Settings

ZOOM = contract.MAP_ZOOM
"""SR pixels along a camera pixel: 12.5 nm."""

CHUNK_FRAMES = 20
"""Frames of a chunk: films are short, and both halves should have equally many."""


@dataclass(frozen=True)
class Reconstructed:
    """Images of the two halves of a film, and its molecules.

    ``second_half`` (T,) bool tells the frames of the second half; ``molecules`` are those of
    probability 0.1 and more, None of a network that answers with maps.
    """

    halves: Halves
    second_half: NDArray[np.bool_]
    molecules: Localisations | None


def reconstruct(
    frames_adu: NDArray[np.uint16], engine: LocalTransport, brightness: str = Settings.brightness
) -> Reconstructed:
    """Reconstruct a film.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The film.
    engine : LocalTransport
        The network.
    brightness : str
        As `Settings.brightness`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.tif"
        tifffile.imwrite(path, frames_adu, photometric="minisblack", metadata={"axes": "TYX"})
        with open_film(path) as film:
            return _reconstruct(film, engine, brightness)


def _reconstruct(film: Film, engine: LocalTransport, brightness: str) -> Reconstructed:
    has_molecules = not engine.network.answer.makes_maps
    settings = Settings(
        model=_model(engine),
        zoom=ZOOM,
        refine=REFINE_OFF,
        brightness=brightness,
        chunk_frames=CHUNK_FRAMES,
    )
    plan = plan_run(film, settings, memory_limit_bytes(settings))
    seen = survey(film, settings)
    if settings.looks_at_molecules:
        spread = brightness_spread(film, seen, engine, lambda: 1, plan, settings)
        seen = seen.with_spread(spread)
    conditioning = seen.conditioning
    sums = [Accumulator(plan.height_px, plan.width_px, zoom=plan.zoom) for _ in range(2)]
    second_half = np.zeros(plan.frame_count, bool)
    tables = []
    for chunk in plan.chunks:
        frames_adu = film.read(chunk.first_frame, chunk.last_frame)
        shown_adu, levels_adu = conditioning.apply(frames_adu, chunk.first_frame)
        request = request_of(shown_adu, chunk, levels_adu, plan.zoom, film.corner)
        answer = engine.sum_chunk(_with_molecules(request) if has_molecules else request)
        half = chunk.first_frame // plan.chunk_frames % 2
        sums[half].check(chunk, answer)
        sums[half].add(chunk, answer)
        second_half[chunk.first_frame : chunk.last_frame] = half == 1
        tables.append(_table(answer, chunk.first_frame))
    first, second = (each.image(conditioning.blank).whole().astype(np.float64) for each in sums)
    molecules = Localisations(*np.concatenate(tables, axis=1)) if has_molecules else None
    if molecules is not None:
        molecules = replace(molecules, frame=molecules.frame.astype(np.int64))
    return Reconstructed(Halves(first, second), second_half, molecules)


def _model(engine: LocalTransport) -> str:
    """An ensemble of the network's kind: settings refuse requests that it does not take."""
    networks = contract.networks_that_answer(engine.network.answer)
    return contract.ensemble_of(next(iter(networks))).name


def _with_molecules(request: Request) -> Request:
    return replace(request, window=replace(request.window, molecules=True))


def _table(answer: ChunkAnswer, first_frame: int) -> NDArray[np.float64]:
    """Columns (8, M) of a table of localisations: one tile covers the whole field."""
    if answer.molecules is None:
        return np.zeros((len(contract.MOLECULE_COLUMNS), 0))
    frame, *columns = answer.molecules.T.astype(np.float64)
    lengths_nm = PIXEL_SIZE_NM * np.stack(columns[:4])
    return np.stack([frame + first_frame, *lengths_nm, *columns[4:]])
