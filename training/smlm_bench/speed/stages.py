"""Where the time goes: stage by stage in one process, and by the server's own account."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.output import picture
from smlm_pipeline.output.ome_tiff import write_image
from smlm_pipeline.settings import Settings

_ENSEMBLE = contract.RECONSTRUCTION.name
SERVED = (*(step.name for step in contract.ENSEMBLES[_ENSEMBLE].steps), _ENSEMBLE)
"""The models of the default ensemble, and itself."""

_FINE_NM = 12.5


def stage_costs(film: Path, network: Path, folder: Path) -> dict[str, float]:
    """Ms a frame of each stage alone; of the two files, ms a film.

    Levels are taken of the sampled frames only.
    """
    frames_adu = tifffile.imread(film)[: contract.MAX_FRAMES_PER_CHUNK // 2]
    count, height, width = frames_adu.shape
    levels_adu = prepared(frames_adu)[1]
    session = open_network(network)
    ready = normalize(frames_adu, levels_adu)
    detections = session.detect(ready)
    window = np.array([Settings.zoom, 0, 0, height, width], np.int32)
    image = draw(detections, window).astype(np.float32)
    image_file, picture_file = folder / "image.tif", folder / "image.png"
    stages: dict[str, Callable[[], object]] = {
        "levels": lambda: prepared(frames_adu),
        "normalize": lambda: normalize(frames_adu, levels_adu),
        "unet": lambda: session.detect(ready),
        "summation": lambda: draw(detections, window),
    }
    files: dict[str, Callable[[], object]] = {
        "image file, once": lambda: write_image(
            image_file, image, sr_pixel_size_nm=_FINE_NM, provenance={}
        ),
        "picture, once": lambda: picture.write_picture(
            picture_file, image, sr_pixel_size_nm=_FINE_NM
        ),
    }
    costs = {name: _fastest_ms(work) / count for name, work in stages.items()}
    return costs | {name: _fastest_ms(work) for name, work in files.items()}


def served_s(server: EmbeddedServer) -> dict[str, float]:
    """Seconds that each of ``SERVED`` has computed, by the server's own account."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    spent = dict.fromkeys(SERVED, 0.0)
    for line in lines:
        for name in SERVED:
            if line.startswith(f'nv_inference_compute_infer_duration_us{{model="{name}"'):
                spent[name] += float(line.rsplit(" ", 1)[1]) / 1e6
    return spent


def _fastest_ms(work: Callable[[], object], repeats: int = 3) -> float:
    times_s = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - started)
    return 1e3 * min(times_s)
