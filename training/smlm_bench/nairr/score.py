"""Score a network on the benchmark's films."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from smlm_bench.console import grid
from smlm_bench.nairr.films import DENSITIES, FRAMES, PSFS, benchmark_film
from smlm_bench.nairr.published import COLUMNS, EARLIER, PROGRAMS, THEORY
from smlm_bench.nairr.rmsmd import rmsmd_nm
from smlm_bench.structures.reconstruction import reconstruct
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.errors import SettingError
from smlm_pipeline.localise.localise import THRESHOLD


@dataclass(frozen=True)
class Result:
    """RMSMD of a network on one of ``COLUMNS``, and the numbers of molecules found and true.

    ``found`` and ``shining`` count molecules frame by frame.
    """

    column: str
    rmsmd_nm: float
    found: int
    shining: int


def results(engine: LocalTransport, *, frames: int = FRAMES, seed: int = 0) -> Iterator[Result]:
    """Simulate, reconstruct and score the films in the order of ``COLUMNS``.

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


def as_json(network: str, sha256: str, engine: str, found: Sequence[Result]) -> str:
    """All results, with the network that they are of."""
    content = {
        "network": network,
        "sha256": sha256,
        "engine": engine,
        "films": [asdict(each) for each in found],
    }
    return json.dumps(content, indent=1) + "\n"


def as_markdown(network: str, found: Sequence[Result]) -> str:
    """The network's row above those of programs, which are sorted, and of the theory."""
    ours = tuple(each.rmsmd_nm for each in found)
    programs = sorted(PROGRAMS.items(), key=lambda item: sum(each or 0 for each in item[1]))
    rows = [
        [f"**{network}**", *(f"**{value:.2f}**" for value in ours)],
        *([name, *_cells(values)] for name, values in (*EARLIER.items(), *programs)),
        *([name, *_cells(values)] for name, values in THEORY.items()),
    ]
    counts = [f"{each.found:,} / {each.shining:,}" for each in found]
    rows.insert(1, [f"{network}, found / shining", *counts])
    return grid(("RMSMD, nm", *COLUMNS), rows) + "\n"


def _cells(values: tuple[float | None, ...]) -> list[str]:
    return ["-" if value is None else f"{value:.2f}" for value in values]
