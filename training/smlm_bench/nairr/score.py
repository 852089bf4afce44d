"""Score a network on the benchmark's films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from smlm_bench.nairr.films import DENSITIES, FRAMES, PSFS, benchmark_film
from smlm_bench.structures.reconstruction import reconstruct
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.localise import THRESHOLD


@dataclass(frozen=True)
class Result:
    """RMSMD of a network on one of ``table.COLUMNS``, and the numbers of molecules found and true.

    ``found`` and ``shining`` count molecules frame by frame.
    """

    column: str
    rmsmd_nm: float
    found: int
    shining: int


def results(engine: LocalTransport, *, frames: int = FRAMES, seed: int = 0) -> Iterator[Result]:
    """Simulate, reconstruct and score the films in the order of ``table.COLUMNS``.

    Estimates are the molecules of all frames from probability 0.5 on, unlinked, as
    ``recon-train evaluate`` finds them.

    Raises
    ------
    SettingError
        If the network answers with maps.
    """
    for psf in PSFS:
        for density in DENSITIES:
            film = benchmark_film(psf, density, frames=frames, seed=seed)
            molecules = reconstruct(film.frames_adu, engine).molecules
            if molecules is None:
                raise SettingError(
                    "the network answers with maps, in which there are no molecules; expected one "
                    "that answers with detections, as unet does"
                )
            sure = molecules.take(molecules.probability >= THRESHOLD)
            found_nm = np.stack([sure.y_nm, sure.x_nm], axis=1)
            yield Result(
                f"{psf} {density}",
                rmsmd_nm(found_nm, film.emitters_nm),
                len(found_nm),
                film.shining,
            )


def rmsmd_nm(found_nm: NDArray[np.float64], true_nm: NDArray[np.float64]) -> float:
    """Root mean square minimum distance of two sets of points.

    The distance of each point of either set to the nearest point of the other, squared, averaged
    over both sets together (doi 10.1038/s41598-018-35053-9). It is infinite if a set is empty.

    Parameters
    ----------
    found_nm, true_nm : ndarray, shapes (K, 2) and (L, 2)
        Estimates of all frames, and the emitters.
    """
    if not (len(found_nm) and len(true_nm)):
        return float("inf")
    to_true, _ = scipy.spatial.KDTree(true_nm).query(found_nm)
    to_found, _ = scipy.spatial.KDTree(found_nm).query(true_nm)
    distances_nm = np.concatenate([to_true, to_found])
    return float(np.sqrt(np.mean(distances_nm**2)))
