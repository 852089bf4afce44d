"""The optimisation profiles of a plan: the shapes of its requests, one profile for each tile size.

A client sends tiles of any multiple of ``SIZE_MULTIPLE_PX`` up to one of ``TILE_SIZES_PX``, so
every profile begins at one frame of the smallest size. It ends at the most frames that the
contract allows for its tile (``Answer.frames_most``): profiles differ in the shape of their
largest request, not in its pixels, so that all need about the same memory.

Kernels are chosen for the largest request, since a server on a GPU asks clients for requests of
that size. Triton takes the profile that fits and whose usual shape is nearest; whole requests fit
that of their tile size, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

Shape: TypeAlias = tuple[int, int, int]
"""Frames of a request, their height and their width, in pixels: N, H, W."""

_SMALLEST: Shape = (1, contract.MIN_FRAME_PX, contract.MIN_FRAME_PX)


@dataclass(frozen=True)
class Profile:
    """The requests that one profile accepts; its kernels are chosen for the usual one."""

    smallest: Shape
    usual: Shape
    largest: Shape

    def shapes(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the smallest, usual and largest shape of each input of a network, by name."""
        requests = (self.smallest, self.usual, self.largest)
        return {
            contract.FRAMES.name: tuple(
                (*request, contract.FRAMES.dims[-1]) for request in requests
            ),
            contract.LEVELS.name: tuple(
                (request[0], contract.LEVELS.dims[-1]) for request in requests
            ),
            contract.REQUEST.name: (contract.REQUEST.dims,) * len(requests),
        }


def profiles(model: str, *, largest_tile_px: int) -> tuple[Profile, ...]:
    """List the profiles of a network's plan, in the order of ``contract.TILE_SIZES_PX``.

    There is one for each tile size, since the configuration names them all. Above
    ``largest_tile_px`` a profile accepts a single frame of the smallest tile: Triton then refuses
    larger tiles, and a small GPU saves the memory that they would need.

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
    answer = contract.ensemble_of(model).answer
    return tuple(
        _up_to(answer.frames_most(tile_px, tile_px), tile_px)
        if tile_px <= largest_tile_px
        else _up_to(1, sizes_px[0])
        for tile_px in sizes_px
    )


def _up_to(frames: int, tile_px: int) -> Profile:
    """Return the profile whose largest and usual request has so many frames of such a tile."""
    largest = (frames, tile_px, tile_px)
    return Profile(_SMALLEST, largest, largest)
