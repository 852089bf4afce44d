"""Patches cut from a film and the table of its emitters: the reference paper's training set.

As in the paper and in Deep-STORM: 500 patches of 26 x 26 camera pixels a frame at
random places, none with fewer than 7 emitters, 10,000 pairs, 70 % of them for
training; network and loss make both sides of a pair 8 times finer. It differs in two
ways on purpose:

* Levels are those of the film, as they are when the network is used. Deep-STORM scales
  each patch by its own smallest and largest value, which depend on the patch's size and
  density, and a network trained so miscounts.
* Training and validation share no frame: 500 patches of a frame overlap, so
  splitting patches would validate on what was trained on. The share is of frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.normalize import normalize_whole
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.table import Molecules
from smlm_training.fitting.datasets import Batch
from smlm_training.simulation.table_check import check_table, count_emitters


def cut_pairs(
    frames_adu: NDArray[np.uint16],
    positions: Molecules,
    *,
    patch_px: int = 26,
    patches_per_frame: int = 500,
    emitters_min: int = 7,
    pairs_most: int = 10_000,
    train_share: float = 0.7,
    pixel_size_nm: float = 100.0,
    seed: int,
) -> tuple[Batch, Batch]:
    """Cut a training and a validation set from a film.

    Parameters
    ----------
    frames_adu : ndarray, shape (T, Y, X), uint16
        The film.
    positions : Molecules
        Its emitters.
    patch_px : int
        Edge of a patch; a network may need a multiple of some pixels, see
        ``networks.kind_of``.
    patches_per_frame : int
        Most patches of a frame, all at different places.
    emitters_min : int
        Fewest emitters of a patch.
    pairs_most : int
        Most pairs of both sets, spread over all frames that have such patches.
    train_share : float
        Share of these frames that is for training, between 0 and 1.
    pixel_size_nm : float
        Edge of a camera pixel.
    seed : int
        Seed of the places and of the split.

    Returns
    -------
    training, validation : Batch
        All pairs of each set. Emitters outside of a patch shine into it and are
        not listed in it.

    Raises
    ------
    FilmError
        If film and table do not belong together, or are too short for two sets.
    SettingError
        If patches are larger than the frames.
    """
    if not 0 < patch_px <= min(frames_adu.shape[1:]):
        raise SettingError(
            f"patches are {patch_px} x {patch_px} pixels, frames {frames_adu.shape[1]} x "
            f"{frames_adu.shape[2]}; expected patches that fit into the frames"
        )
    emitters_px = positions.by_frame(len(frames_adu), pixel_size_nm)
    check_table(frames_adu, emitters_px, pixel_size_nm)
    corners = _places(
        np.random.default_rng(seed),
        emitters_px,
        frames_adu.shape[1:],
        patch_px,
        emitters_min,
        patches_per_frame,
        pairs_most,
    )
    trained = round(train_share * len(corners))
    if not 0 < trained < len(corners):
        raise FilmError(
            f"too little data: {len(corners)} of {len(frames_adu)} frames gave patches of "
            f"{patch_px} x {patch_px} pixels with at least {emitters_min} emitters; expected "
            "frames for training and others for validation: take a longer or denser film"
        )
    shown_adu, levels_adu = prepared(frames_adu)
    cut = [
        _cut(
            _normalized(shown_adu[index], levels_adu[index]),
            emitters_px[index],
            places,
            patch_px,
        )
        for index, places in corners.items()
    ]
    return _joined(cut[:trained]), _joined(cut[trained:])


def batches(pairs: Batch, *, batch: int, seed: int, first_step: int = 0) -> Iterator[Batch]:
    """Batches of ``batch`` pairs without end, from step ``first_step`` on.

    The order of an epoch follows from the seed and the epoch's number, so a stream that
    starts at a later step continues like an unbroken one. Pairs that do not fill a last
    batch are left out of that epoch.

    Raises
    ------
    SettingError
        If there are fewer pairs than a batch needs.
    """
    count = len(pairs.present)
    if count < batch:
        raise SettingError(
            f"too little data: {count} pairs for batches of {batch}; expected at least one "
            "batch: take more patches or a smaller batch"
        )
    epoch, step = divmod(first_step, count // batch)
    while True:
        order = np.random.default_rng([seed, epoch]).permutation(count)
        for first in range(step * batch, count - batch + 1, batch):
            yield pairs.of(order[first : first + batch])
        epoch, step = epoch + 1, 0


def _places(
    rng: np.random.Generator,
    emitters_px: list[NDArray[np.float64]],
    shape: tuple[int, ...],
    patch_px: int,
    emitters_min: int,
    patches_per_frame: int,
    pairs_most: int,
) -> dict[int, NDArray[np.int64]]:
    """For frames in random order, the first pixels (P, 2) of their patches, all different."""
    places = {}
    wanted = pairs_most
    order = rng.permutation(len(emitters_px)).tolist()
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        counts = _emitters_in_patches(count_emitters(emitters_px[index], shape), patch_px)
        found = rng.permutation(np.argwhere(counts >= emitters_min))
        found = found[: min(patches_per_frame, -(-wanted // left))]
        if len(found):
            places[index] = found
        wanted -= len(found)
    return places


def _emitters_in_patches(emitters: NDArray[np.int64], patch_px: int) -> NDArray[np.int64]:
    """Number of emitters in each patch of a frame, by the patch's first pixel."""
    above = np.pad(emitters, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    rows = above[patch_px:] - above[:-patch_px]
    held: NDArray[np.int64] = rows[:, patch_px:] - rows[:, :-patch_px]
    return held


def _normalized(
    frame_adu: NDArray[np.uint16], levels_adu: NDArray[np.float32]
) -> NDArray[np.float32]:
    """One frame of any size, (Y, X, 1), as networks read it."""
    height_px, width_px = frame_adu.shape
    normalized = normalize_whole(frame_adu[None], levels_adu[None])
    return normalized[0, :, :height_px, :width_px].transpose(1, 2, 0)


_Patch = tuple[NDArray[np.float32], NDArray[np.float32]]


def _cut(
    normalized: NDArray[np.float32],
    emitters_px: NDArray[np.float64],
    corners: NDArray[np.int64],
    patch_px: int,
) -> list[_Patch]:
    """Patches (patch_px, patch_px, 1) of one frame, each with its emitters (K, 2)."""
    found = []
    for corner in corners:
        relative_px = emitters_px - corner
        inside = ((relative_px >= 0) & (relative_px < patch_px)).all(axis=1)
        y, x = corner
        patch = normalized[y : y + patch_px, x : x + patch_px].copy()  # or the frame stays
        found.append((patch, relative_px[inside].astype(np.float32)))
    return found


def _joined(frames: list[list[_Patch]]) -> Batch:
    """All patches of some frames, with places for the emitters of the fullest.

    Intensities are not known (NaN): a film alone does not tell its gain.
    """
    patches = [patch for frame in frames for patch in frame]
    places = max(1, *(len(emitters_px) for _, emitters_px in patches))
    position_px = np.zeros((len(patches), places, 2), np.float32)
    present = np.zeros((len(patches), places), np.float32)
    for index, (_, emitters_px) in enumerate(patches):
        position_px[index, : len(emitters_px)] = emitters_px
        present[index, : len(emitters_px)] = 1
    intensity = np.where(present, np.float32(np.nan), np.float32(0))
    return Batch(np.stack([patch for patch, _ in patches]), position_px, present, intensity)
