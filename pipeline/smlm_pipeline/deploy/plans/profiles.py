"""The optimisation profiles of a plan: the shapes of its batches, one profile for each tile size.

A client sends tiles of any multiple of ``SIZE_MULTIPLE_PX`` up to one of
``TILE_SIZES_PX``, so every profile begins at the smallest frame. Triton uses the
profile that fits and whose usual shape is nearest, which is that of the next tile
size; kernels are chosen, and memory is reserved, for the largest shape of each.

The batcher joins requests of any size up to ``max_batch_size`` frames, so every profile has
to accept as many.
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
    """The shapes that one profile accepts; its kernels are chosen for the usual one."""

    smallest: Shape
    usual: Shape
    largest: Shape


def profiles(model: str, *, largest_tile_px: int) -> tuple[Profile, ...]:
    """List the profiles of a network's plan, in the order of ``contract.TILE_SIZES_PX``.

    There is one for each tile size, since the configuration names them all. Above
    ``largest_tile_px`` a profile repeats the first: Triton then refuses larger tiles, and a
    small GPU saves the memory that they would need.

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
    served_px = (size if size <= largest_tile_px else sizes_px[0] for size in sizes_px)
    return tuple(_profile(contract.NETWORKS[model], tile_px) for tile_px in served_px)


def _profile(spec: contract.ModelSpec, tile_px: int) -> Profile:
    """Return the profile of a tile size; its usual shape is the client's default chunk."""
    channels, smallest_px = spec.inputs[0].dims[0], contract.MIN_FRAME_PX
    settings = Settings(model=contract.ensemble_of(spec.name).name)
    usual_frames = frames_per_chunk(settings, tile_px, tile_px)
    return Profile(
        smallest=(1, channels, smallest_px, smallest_px),
        usual=(usual_frames, channels, tile_px, tile_px),
        largest=(spec.max_batch_size, channels, tile_px, tile_px),
    )
