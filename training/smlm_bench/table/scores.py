"""The rows of the table: one method's errors and times, in every convention that is used."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.method import PEER
from smlm_bench.table.film import ComparedFilm
from smlm_bench.table.passes import Result
from smlm_training.scoring.detection_scores import DetectionScore, detection_score
from smlm_training.scoring.evaluate import BLURS_PX, Score, blurred, nmse_percent, psnr_db, score

HARDWARE = "NVIDIA RTX 3090, Intel Xeon Platinum 8350C"


FILM = "361 frames of simulated microtubules, 12.5 nm grid"


@dataclass(frozen=True)
class PublishedRow:
    """One row: NMSE (%), PSNR (dB), ms a frame, and the methods beside it."""

    name: str
    nmse_percent: float
    psnr_db: float
    ms_per_frame: float
    beside: tuple[str, ...]


TABLE_1 = (
    PublishedRow("CEL0", 37.67, 22.47, 51736.8, ("cel0",)),
    PublishedRow("FALCON", 40.81, 22.33, 337.95, ("falcon",)),
    PublishedRow("Deep-STORM", 37.51, 22.92, 20.0, ("deep-storm@keras", "deep-storm@onnx")),
    PublishedRow("literature [5]", 34.32, 23.42, 16.6, ("unet-interpolated@keras",)),
    PublishedRow(
        "Ours (the reference paper's)",
        34.65,
        23.29,
        12.3,
        ("unet-interpolated@onnx", "unet-interpolated@triton"),
    ),
)
"""Whether its images were blurred or scaled before, and how its truth was binned, is not stated."""


def published_beside(method: str) -> PublishedRow | None:
    """The published row of the same method, if there is one."""
    return next((row for row in TABLE_1 if method in row.beside), None)


BASELINES = ("blank", "widefield")


_IN_PHOTONS = ("cel0", "falcon")


NEAR_NM = 100.0
"""A second tolerance: where molecules are dense, the usual one of 250 nm finds many by chance."""


@dataclass(frozen=True)
class Row:
    """One method on one film.

    ``image`` has the project's scores. ``seed_nmse_percent`` and ``seed_psnr_db`` are
    the reference paper's formulas (2) and (4) on images that are divided by their own maximum, at
    each of ``BLURS_PX``: a convention that we chose, since it states none.
    ``molecules`` are paired within 250 nm, ``near_molecules`` within ``NEAR_NM``.
    ``times_peer`` is Deep-STORM's median time over this one's, ``remark`` what the method says of
    its first pass.
    """

    method: str
    image: Score
    seed_nmse_percent: tuple[float, ...]
    seed_psnr_db: tuple[float, ...]
    molecules: DetectionScore | None
    near_molecules: DetectionScore | None
    ms_per_frame: float
    fastest_ms: float
    slowest_ms: float
    passes: int
    times_peer: float | None
    parameters: dict[str, Any]
    remark: str = ""

    @property
    def reconstructs(self) -> bool:
        """False of baselines, whose times say nothing."""
        return self.method not in BASELINES

    @property
    def counts_molecules(self) -> bool:
        """Whether the image's sum is a number of molecules, and not of photons or readings."""
        return self.reconstructs and self.method not in _IN_PHOTONS

    def as_dict(self) -> dict[str, Any]:
        """All of it, with the published row, for JSON; null where a number would say nothing."""
        molecules = self.molecules
        published = published_beside(self.method)
        values = asdict(self)
        if not self.reconstructs:
            values |= dict.fromkeys(("ms_per_frame", "fastest_ms", "slowest_ms", "times_peer"))
        if not self.counts_molecules:
            values["image"]["sum_ratio"] = None
        return {
            **values,
            "blurs_px": BLURS_PX,
            "jaccard": None if molecules is None else molecules.jaccard,
            "near_jaccard": None if self.near_molecules is None else self.near_molecules.jaccard,
            "recall": None if molecules is None else molecules.recall,
            "precision": None if molecules is None else molecules.precision,
            "rmse_nm": None if molecules is None else molecules.rmse_nm,
            "published": None if published is None else asdict(published),
        }


def rows(results: Sequence[Result], film: ComparedFilm) -> list[Row]:
    """The table's rows, in the order of the results."""
    truth = film.truth()
    medians = {each.name: statistics.median(each.ms_per_frame) for each in results}
    return [_row(each, film, truth, medians.get(PEER)) for each in results]


def by_chance(film: ComparedFilm) -> tuple[DetectionScore, ...]:
    """Score the truth of the next frame in place of each frame's, at both tolerances.

    Nothing of a single frame, which has no other.
    """
    if len(film.frames_adu) < 2:
        return ()
    shifted = replace(film.true, frame=(film.true.frame + 1) % len(film.frames_adu))
    return detection_score(shifted, film.true), detection_score(shifted, film.true, NEAR_NM)


def _row(
    result: Result, film: ComparedFilm, truth: NDArray[np.float64], peer_ms: float | None
) -> Row:
    pairs = [
        (_by_maximum(blurred(result.image, b)), _by_maximum(blurred(truth, b))) for b in BLURS_PX
    ]
    molecules = result.molecules
    median_ms = statistics.median(result.ms_per_frame)
    return Row(
        method=result.name,
        image=score(result.image, truth),
        seed_nmse_percent=tuple(nmse_percent(*pair) for pair in pairs),
        seed_psnr_db=tuple(psnr_db(*pair) for pair in pairs),
        molecules=None if molecules is None else detection_score(molecules, film.true),
        near_molecules=None
        if molecules is None
        else detection_score(molecules, film.true, NEAR_NM),
        ms_per_frame=median_ms,
        fastest_ms=min(result.ms_per_frame),
        slowest_ms=max(result.ms_per_frame),
        passes=len(result.ms_per_frame),
        times_peer=None if peer_ms is None else peer_ms / median_ms,
        parameters=result.parameters,
        remark=result.remark,
    )


def _by_maximum(image: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = float(image.max())
    return image / largest if largest else image
