"""``model.json``: what a network was trained on, by which code, and how it scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import smlm_pipeline
from smlm_pipeline import contract, kernels
from smlm_pipeline.network import Network
from smlm_training import presets
from smlm_training.evaluate import score, truth_image, widefield_image
from smlm_training.inference import ZOOM, detect, draw, film_levels

SCORED_FRAMES = 200
SCORED_SIZE_PX = 64
SCORED_SEED = 1


def held_out_scores(network: Network) -> dict[str, Any]:
    """Scores on a film of each preset, which training never saw."""
    return {name: _scores(network, name) for name in presets.PRESETS}


def _scores(network: Network, name: str) -> dict[str, Any]:
    film = presets.preset_film(
        name,
        seed=SCORED_SEED,
        frames=SCORED_FRAMES,
        height_px=SCORED_SIZE_PX,
        width_px=SCORED_SIZE_PX,
    )
    inside = film.emitters.inside(SCORED_SIZE_PX, SCORED_SIZE_PX)
    image = draw(detect(network, film.frames_adu))
    truth = truth_image(
        film.emitters.y_px[inside],
        film.emitters.x_px[inside],
        shape=(SCORED_SIZE_PX * ZOOM, SCORED_SIZE_PX * ZOOM),
        sr_pixel_size_nm=1 / ZOOM,
    )
    background_adu = float(film_levels(film.frames_adu)[0])
    widefield = widefield_image(film.frames_adu, background_adu=background_adu, zoom=ZOOM)
    ours, camera = score(image, truth), score(widefield, truth)
    return {
        "nmse_percent_at_blur_0_1_2_px": [round(value, 2) for value in ours.nmse_percent],
        "widefield_nmse_percent": [round(value, 2) for value in camera.nmse_percent],
        "emitters_found_over_true": round(ours.sum_ratio, 4),
    }


def code_sha256() -> str:
    """Hash of the sources that decide what a network is: simulation, training and kernels."""
    served = [Path(kernels.__file__), Path(contract.__file__)]
    sources = [*Path(__file__).parent.rglob("*.py"), *served]
    total = hashlib.sha256()
    for source in sorted(sources, key=lambda path: path.name):
        total.update(source.name.encode() + b"\0" + source.read_bytes())
    return total.hexdigest()


def write_card(
    network_file: Path, manifest: Mapping[str, Any], *, parameters: int, parity: float
) -> Path:
    """Write ``model.json`` beside the network; the path of the card."""
    network = Network(network_file, intra_op_threads=0)
    card = {
        "name": contract.UNET.name,
        "contract_version": contract.CONTRACT_VERSION,
        "sha256": hashlib.sha256(network_file.read_bytes()).hexdigest(),
        "parameters": parameters,
        "onnx_against_keras_max_difference": parity,
        "made_by": f"recon-train fit, recon-train export; smlm-recon {smlm_pipeline.__version__}",
        "code_sha256": code_sha256(),
        "training": manifest,
        "scores_on_films_training_never_saw": held_out_scores(network),
    }
    path = network_file.with_name("model.json")
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path
