"""The sizes of batches that a plan is built for: one optimisation profile a tile size.

A client sends tiles of any multiple of ``SIZE_MULTIPLE_PX`` up to one of
``TILE_SIZES_PX``, so every profile begins at the smallest frame. Triton takes the
profile that fits and whose usual shape is nearest, which is that of the next tile
size; kernels are chosen, and memory is reserved, for the largest shape of each.

The batcher joins requests up to ``max_batch_size`` frames whatever their size, so
every profile has to take as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import Settings, frames_per_chunk

Shape = tuple[int, int, int, int]
"""N, C, H, W."""


@dataclass(frozen=True)
class Profile:
    """What one profile accepts, and the shape that its kernels are chosen for."""

    smallest: Shape
    usual: Shape
    largest: Shape


def profiles(model: str, *, largest_tile_px: int) -> tuple[Profile, ...]:
    """The profiles of a network's plan, in the order of ``contract.TILE_SIZES_PX``.

    There are always as many as tile sizes, since the configuration names them all.
    Above ``largest_tile_px`` a profile repeats the first: Triton then refuses larger
    tiles, and a small GPU keeps the memory that they would need.

    Parameters
    ----------
    model : str
        One of ``contract.NETWORKS``.
    largest_tile_px : int
        One of ``contract.TILE_SIZES_PX``.

    Raises
    ------
    SettingError
        If it is none.
    """
    sizes_px = contract.TILE_SIZES_PX
    if largest_tile_px not in sizes_px:
        raise SettingError(
            f"largest tile is {largest_tile_px} pixels; expected one of "
            f"{', '.join(map(str, sizes_px))}"
        )
    asked = (size if size <= largest_tile_px else sizes_px[0] for size in sizes_px)
    return tuple(_profile(contract.NETWORKS[model], tile_px) for tile_px in asked)


def ensemble_of(model: str) -> str:
    """The ensemble that a network is asked through."""
    return contract.ensemble_of(model).name


def _profile(spec: contract.ModelSpec, tile_px: int) -> Profile:
    """Usual is a whole chunk of the client, as it cuts films unless told otherwise."""
    channels, smallest_px = spec.inputs[0].dims[0], contract.MIN_FRAME_PX
    usual_frames = frames_per_chunk(Settings(model=ensemble_of(spec.name)), tile_px, tile_px)
    return Profile(
        smallest=(1, channels, smallest_px, smallest_px),
        usual=(usual_frames, channels, tile_px, tile_px),
        largest=(spec.max_batch_size, channels, tile_px, tile_px),
    )
