"""A first look at a film: how unlike its molecules are in brightness, before all are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from smlm_pipeline.compute.brightness import IsolatedLight, isolated_light, look
from smlm_pipeline.engines.transport import Transport
from smlm_pipeline.film.film import Film
from smlm_pipeline.film.survey import GOLDEN_RATIO, Survey
from smlm_pipeline.run import chunking, dispatch
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.missing import Missing
from smlm_pipeline.run.molecules import check_molecules
from smlm_pipeline.run.plan import RunPlan
from smlm_pipeline.run.read_ahead import ReadAhead
from smlm_pipeline.settings import Settings

_TILE_PX = 256
"""Largest edge of the tiles that are looked at, one in each range of frames. Not that of the run:
the image must not depend on how it is cut."""

_ZOOM = 1
"""The image of these requests is not used, so it is small."""


def brightness_spread(
    film: Film,
    seen: Survey,
    transport: Transport,
    count_servers: Callable[[], int],
    plan: RunPlan,
    settings: Settings,
) -> float | None:
    """How unlike the film's molecules are in brightness, as far as they are seen apart.

    A few frames all over the film go through the network before the run. Parts of a film look at
    the same frames as the whole of it.

    Parameters
    ----------
    film : Film
        No other thread may read it meanwhile.
    seen : Survey
        Of the film.
    transport : Transport
        The engine.
    count_servers : callable
        The number of its servers now.
    plan, settings : RunPlan and Settings
        Of the run, for the number of concurrent requests and what happens if one fails.

    Returns
    -------
    float or None
        See `smlm_pipeline.compute.brightness.look`; None also where an engine shows no molecules.

    Raises
    ------
    ReconError
        If the film cannot be read there, or a request fails for good; frames that cannot be read
        are left out where the settings allow that.
    """
    shown, leave_out = False, Missing(settings.allow_partial).leave_out

    def light_of(ranges: list[range]) -> Iterator[IsolatedLight]:
        nonlocal shown
        chunks = _chunks(ranges, film)
        with ReadAhead(film, chunks, seen.conditioning) as ahead:
            asked = ahead.requests(_ZOOM, molecules=True)
            limit = plan.concurrency(count_servers)
            sent = chunks, asked, transport, limit, settings.attempts, leave_out
            with closing(dispatch.run(*sent)) as answers:
                for chunk, answer in answers:
                    if answer.molecules is not None:
                        check_molecules(chunk, answer.molecules)
                        shown = True
                        window = chunk.tile.window(_ZOOM)
                        yield isolated_light(answer.molecules, window, chunk.frame_count)

    frame_pixels = film.height_px * film.width_px
    spread = look(film.frame_count, frame_pixels, light_of)
    return spread if shown else None


def _chunks(ranges: list[range], film: Film) -> list[Chunk]:
    """A tile in each range of frames: another one each time, as far as there are several."""
    whole = chunking.plan(1, film.height_px, film.width_px, chunk_frames=1, tile_px=_TILE_PX)
    tiles = [chunk.tile for chunk in whole]
    return [
        Chunk(
            index,
            frames.start,
            frames.stop,
            tiles[int(frames.start * GOLDEN_RATIO % 1 * len(tiles))],
        )
        for index, frames in enumerate(ranges)
    ]
