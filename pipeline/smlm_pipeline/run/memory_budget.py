"""Divides the client's memory among the parts of a run.

The costs below are bounds, checked against measured peaks by the memory benchmark
(``python -m smlm_bench.speed.client_memory``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.memory import machine_bytes
from smlm_pipeline.refine.bands import BAND_PIXELS
from smlm_pipeline.settings import LEVEL_PIXELS, Settings

MACHINE_SHARE = 0.25
"""Share of the machine's memory that is used by default."""

BASE_BYTES = 256 << 20
"""The interpreter with all imported modules, before the first frame, and small parts."""

REQUEST_COPIES, ANSWER_COPIES, BLOCK_COPIES = 3, 4, 4
"""Copies of a request's frames and of its sum that gRPC and we hold at once, and of the whole
frames of a range: in use, read ahead, being decoded and still referred to."""

SURVEY_FRAME_BYTES, SURVEY_BYTES = 96, 24 << 20
"""Per pixel of a frame, and beside, while levels are computed and faulty pixels are found."""

DENSITIES, REFINEMENT_ROW_COPIES, REFINEMENT_REACH_PX = 3, 60, 1.25
"""Densities of float32 of a refinement: of both halves, and of the whole film. Arrays of the rows
of a band, in both threads; and the radius of its widest filter, in camera pixels."""

DRIFT_BYTES = 256 << 20
"""An estimate of drift, of as many molecules as it takes, and their drawing."""

TILE_BYTES, TILE_ROW_BYTES = 64 << 20, 512 * (2 * 4 + 3 * 8)
"""The transforms of two tiles of 512 x 512 SR pixels; and per column of the image, a band of such
tiles of both halves, and of their sums in integers."""

COMPARED_PIXEL_BYTES, COMPARED_BYTES = 160, 96 << 20
"""Per camera pixel, and beside, while an image is compared with its wide field."""

PICTURE_PIXEL_BYTES = 12
"""Per pixel of the picture, while it is drawn."""

PICTURE_EDGES_PX = (8192, 4096, 2048)
"""Longest edges of the picture, of which the largest is taken that fits."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class MemoryBudget:
    """The parts that fit into a limit; ``in_flight_most`` counts requests to all servers."""

    sum_in_memory: bool
    in_flight_most: int
    picture_edge_px: int


def parse_bytes(text: str) -> int:
    """Read ``4GiB``, ``4G`` or ``512M`` as bytes; all units are powers of 1024.

    Raises
    ------
    SettingError
        If the text is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise SettingError(f"memory is {text!r}; expected a size such as 4GiB or 800MiB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def memory_limit_bytes(settings: Settings) -> int:
    """The user's limit, or a share of this machine's memory."""
    return settings.memory_bytes or int(MACHINE_SHARE * machine_bytes())


def memory_budget(
    frame_count: int,
    height_px: int,
    width_px: int,
    *,
    chunk_frames: int,
    tile_px: int,
    zoom: int,
    limit_bytes: int,
    decoded_bytes: int = 0,
    planes: int = 1,
    refined: bool = False,
    drift: bool = False,
    compared: bool = False,
) -> MemoryBudget:
    """Divide the memory among the parts of a run.

    Parameters
    ----------
    frame_count, height_px, width_px : int
        Size of the film; its length matters only below one chunk.
    chunk_frames : int
        Most frames of a chunk.
    tile_px : int
        Largest edge of a tile.
    zoom : int
        SR pixels along the edge of a camera pixel.
    limit_bytes : int
        The most memory of the client.
    decoded_bytes : int
        What the film's reader holds while it decodes a frame (`Film.decoded_bytes`).
    planes : int
        Images that are summed apart.
    refined : bool
        Whether the sum is refined.
    drift : bool
        Whether drift is taken out: a second sum is drawn then.
    compared : bool
        Whether the image is compared with the wide field, which is summed beside it.

    Returns
    -------
    MemoryBudget
        Whether the sum fits, how many requests may be concurrent, and how large a picture.

    Raises
    ------
    SettingError
        If the film needs more than the limit with a single request.
    """
    frame_px = height_px * width_px
    frames = min(chunk_frames, frame_count)
    request = _request_bytes(frames, height_px, width_px, tile_px, zoom)
    sum_y, sum_x = image_shape(zoom, height_px, width_px)
    base = BASE_BYTES + decoded_bytes
    running = base + (12 if compared else 4) * frame_px + BLOCK_COPIES * 2 * frames * frame_px
    sample = 2 * min(max(LEVEL_PIXELS, 8 * frame_px), frame_count * frame_px)
    refining = base + (_refinement_bytes(zoom, sum_x) if refined else 0)
    resolving = base + (TILE_BYTES + TILE_ROW_BYTES * sum_x if planes > 1 else 0)
    drifting = base + (DRIFT_BYTES if drift else 0)
    comparing = base + (COMPARED_PIXEL_BYTES * frame_px + COMPARED_BYTES if compared else 0)
    survey = base + SURVEY_BYTES + 2 * sample + SURVEY_FRAME_BYTES * frame_px
    finishing = max(refining, drifting, resolving, comparing)
    needed = max(running + request, survey, finishing)
    if needed > limit_bytes:
        plain = ", or take --refine off" if needed == refining else ""
        raise SettingError(
            f"memory is {_mib(limit_bytes)}; frames of {height_px} x {width_px} pixels need at "
            f"least {_mib(needed)}: raise --memory, or choose a smaller --tile-px or "
            f"--chunk-frames{plain}"
        )
    densities = DENSITIES if refined else 0
    sums = (2 if drift else 1) * planes
    sum_bytes = (8 * sums + 4 * densities) * sum_y * sum_x
    most = max(running + 2 * request, survey, finishing)
    beside = sum_bytes if most + sum_bytes <= limit_bytes else 0
    fitting = (limit_bytes - running - beside) // request
    edges = (e for e in PICTURE_EDGES_PX if _picture_bytes(e, sum_y, sum_x) + beside <= limit_bytes)
    return MemoryBudget(
        sum_in_memory=beside > 0,
        in_flight_most=max(fitting, 1),
        picture_edge_px=next(edges, PICTURE_EDGES_PX[-1]),
    )


def _request_bytes(frames: int, height_px: int, width_px: int, tile_px: int, zoom: int) -> int:
    """Memory of one request and its answer, with all copies."""
    tile_y, tile_x = (min(edge, tile_px) for edge in (height_px, width_px))
    answer_y, answer_x = image_shape(zoom, tile_y, tile_x)
    padding_px = contract.SIZE_MULTIPLE_PX
    frame_bytes = 2 * frames * (tile_y + padding_px) * (tile_x + padding_px)
    return REQUEST_COPIES * frame_bytes + ANSWER_COPIES * 4 * answer_y * answer_x


def _refinement_bytes(zoom: int, width: int) -> int:
    """Memory of the bands of a refinement, beside its densities."""
    radius = math.ceil(REFINEMENT_REACH_PX * zoom)
    rows = max(BAND_PIXELS // width, 2 * radius) + 4 * radius
    return REFINEMENT_ROW_COPIES * 4 * rows * width


def _picture_bytes(edge_px: int, height: int, width: int) -> int:
    return BASE_BYTES + PICTURE_PIXEL_BYTES * min(edge_px**2, height * width)


def _mib(size_bytes: int) -> str:
    return f"{math.ceil(size_bytes / 2**20):,} MiB"
