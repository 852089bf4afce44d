"""What is left of the drift of a stage that two channels share, by both and by one of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from smlm_bench.channels.films import PIXEL_NM, Geometry, Sample, two_channel_film
from smlm_bench.drift.films import KINDS, RANGE_NM
from smlm_pipeline.channels.run import run_channels
from smlm_pipeline.drift.files import read_drift
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.job import Job
from smlm_pipeline.settings import DRIFT_AUTO, REFINE_OFF, Settings
from smlm_pipeline.submission.submit import run_job

EDGE_PX = 48
SAMPLES = (
    Sample("unlike curves", 0.0, per_frame=4),
    Sample("the same curves", 1.0, per_frame=4),
)
"""A few molecules a frame in each channel, as in a film whose drift is not easy to see."""

CASES = (
    (SAMPLES[0], "left,right", "steps"),
    (SAMPLES[0], "alternating", "wander"),
    (SAMPLES[1], "left,right", "wander"),
    (SAMPLES[1], "left,right", "none"),
)

_SHIFTED = Geometry((2.3, -3.6))


@dataclass(frozen=True)
class SharedDrift:
    """What is left of a drift, as root mean square along an axis, about the mean, in nm.

    ``both_nm`` is by both channels, ``first_nm`` and ``second_nm`` by each of them alone; None
    where nothing was corrected. ``error_nm`` is what the product states of both.
    """

    sample: str
    split: str
    kind: str
    drift_nm: float
    both_nm: float | None
    first_nm: float | None
    second_nm: float | None
    error_nm: float | None


def shared_drift(sample: Sample, split: str, kind: str, engine: Engine, model: str) -> SharedDrift:
    """Reconstruct a film with ``--channels`` and ``--drift auto``, and each channel alone."""
    frames = sample.frames * (2 if split == "alternating" else 1)
    moved = KINDS[kind](np.arange(frames) / frames).T
    moved = moved - moved[:, :1]
    drift_nm = moved * RANGE_NM / np.maximum(np.ptp(moved, axis=1, keepdims=True), 1e-9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = two_channel_film(sample, split, _SHIFTED, edge_px=EDGE_PX, drift_nm=drift_nm)
        tifffile.imwrite(folder / "film.tif", film, photometric="minisblack")
        channels = Channels(split, ("one", "two"), registers=False)
        settings = Settings(model=model, refine=REFINE_OFF, drift=DRIFT_AUTO)
        files = folder / "film.tif", folder / "both.ome.tif"
        job = Job(*files, settings, PIXEL_NM, channels=channels)
        facts = next(iter(run_channels(job, engine).channels.values())).drift or {}
        both_nm, alone_nm = _left_nm(job, drift_nm, np.arange(frames)), []
        for number, alone in enumerate(job.of_channels):
            alone = replace(alone, image=folder / f"{number}.ome.tif")
            run_job(alone, engine)
            shown = np.arange(number, frames, 2) if split == "alternating" else np.arange(frames)
            alone_nm.append(_left_nm(alone, drift_nm, shown))
    stated = sample.name, split, kind, _rms(drift_nm)
    return SharedDrift(*stated, both_nm, alone_nm[0], alone_nm[1], facts.get("error_nm"))


def _left_nm(job: Job, drift_nm: NDArray[np.float64], frames: NDArray[np.int64]) -> float | None:
    """What a run left of the drift; None where it corrected nothing."""
    if not job.uncorrected_image.exists():
        return None
    return _rms(read_drift(job.drift_table).at(frames) - drift_nm[:, frames])


def _rms(apart_nm: NDArray[np.float64]) -> float:
    return float(np.sqrt(apart_nm.var(axis=1).mean()))
