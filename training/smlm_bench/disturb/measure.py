"""Reconstruct disturbed films and compare the images with the truth that is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.tiles import pad
from smlm_pipeline.film.survey import conditioning_of
from smlm_training.scoring.evaluate import score, truth_image
from smlm_training.scoring.inference import ZOOM, draw
from smlm_training.simulation.disturbances import DISTURBANCES, Disturbed
from smlm_training.simulation.presets import FLUOROPHORE, PRESETS
from smlm_training.simulation.samples import RingSample
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scmos import ScmosChip
from smlm_training.simulation.simulate import joined

UNDISTURBED = "undisturbed"

FILMS: dict[str, Scene] = {
    "sparse filaments": replace(
        PRESETS["filaments-1"], seed=5, frames=300, height_px=48, width_px=48
    ),
    "dense bundles": replace(PRESETS["evaluate"], seed=11, frames=200, height_px=64, width_px=64),
    "rings": replace(
        PRESETS["uniform-3"], sample=RingSample(), seed=7, frames=200, height_px=56, width_px=56
    ),
}
"""Films of different structure and density: 1, 5.5 and 3 molecules a um2."""

_BLOCK_FRAMES = 32


@dataclass(frozen=True)
class Outcome:
    """The image of one disturbed film.

    ``sum_ratio`` is the image's sum over the emitters that are to be found, ``nmse_percent`` the
    error at a blur of one SR pixel, ``outside_ratio`` the sum of what was drawn where there is
    no picture.
    """

    film: str
    disturbance: str
    sum_ratio: float
    nmse_percent: float
    outside_ratio: float


def outcomes(network: OnnxNetwork, name: str, scene: Scene) -> Iterator[Outcome]:
    """Reconstruct a film undisturbed, under each disturbance, and joined with other films."""
    film = joined(list(scene.blocks()))
    whole = Disturbed.of(film)
    yield outcome(network, name, UNDISTURBED, whole)
    camera = (
        scene.camera.camera(scene.height_px, scene.width_px)
        if isinstance(scene.camera, ScmosChip)
        else scene.camera
    )
    for number, (kind, disturb) in enumerate(DISTURBANCES.items()):
        rng = np.random.default_rng([scene.seed, number])
        yield outcome(network, name, kind, disturb(rng, whole, camera))
    for kind, before in _other_films(scene).items():
        both = joined([joined(list(part.blocks())) for part in (*before, scene)])
        yield outcome(network, name, kind, Disturbed.of(both))


def _other_films(scene: Scene) -> dict[str, list[Scene]]:
    """Films to be joined before a film, by what changes where they meet."""
    like = replace(
        PRESETS["filaments-3"],
        height_px=scene.height_px,
        width_px=scene.width_px,
        seed=scene.seed + 90,
    )
    denser = [
        replace(like, sample=PRESETS[f"filaments-{density}"].sample, frames=frames)
        for density, frames in ((9, 20), (6, 30), (3, 50))
    ]
    bright = replace(FLUOROPHORE, photons=3500.0)
    brighter = replace(like, fluorophore=bright, frames=scene.frames)
    return {"bleaches from dense": denser, "joined to a film of brighter molecules": [brighter]}


def outcome(network: OnnxNetwork, name: str, kind: str, film: Disturbed) -> Outcome:
    """Reconstruct one film, and compare its image with its truth."""
    conditioning = conditioning_of(film.frames_adu)
    height, width = film.shown.shape
    image = np.zeros((height * ZOOM, width * ZOOM))
    for first in range(0, len(film.frames_adu), _BLOCK_FRAMES):
        block = film.frames_adu[first : first + _BLOCK_FRAMES]
        frames_adu, levels_adu = conditioning.apply(block, first)
        image += draw(network.detect(pad(frames_adu), levels_adu), (height, width))
    image *= _fine(~conditioning.blank)
    y_px, x_px = film.true_yx_px()
    shape = height * ZOOM, width * ZOOM
    truth = truth_image(y_px, x_px, shape=shape, sr_pixel_size_nm=1 / ZOOM)
    inside = image * _fine(film.shown & film.scored)
    emitters = len(y_px)
    return Outcome(
        name,
        kind,
        float(inside.sum()) / emitters,
        score(inside, truth).nmse_percent[1],
        float((image * _fine(~film.shown)).sum()) / emitters,
    )


def _fine(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Camera pixels (Y, X) on the SR grid."""
    fine: NDArray[np.bool_] = np.kron(pixels, np.ones((ZOOM, ZOOM), bool))
    return fine
