"""How the error of the image changes when camera, brightness or optics do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_training.scoring.film_scores import score_scene
from smlm_training.simulation.presets import CAMERA, FLUOROPHORE, PRESETS
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scmos import ScmosChip

TOLERATED_PERCENT = 10.0
"""Largest relative change of the NMSE that is no reason to warn."""

NOMINAL = PRESETS["evaluate"]

CONDITIONS: dict[str, Scene] = {
    "gain x 3, offset + 300 ADU": replace(
        NOMINAL,
        camera=replace(
            CAMERA, adu_per_photon=3 * CAMERA.adu_per_photon, offset_adu=300 + CAMERA.offset_adu
        ),
    ),
    "photons x 2": replace(NOMINAL, fluorophore=replace(FLUOROPHORE, photons=3000)),
    "photons / 2": replace(NOMINAL, fluorophore=replace(FLUOROPHORE, photons=750)),
    "sigma 0.95 px": replace(NOMINAL, fluorophore=replace(FLUOROPHORE, sigma_px=0.95)),
    "sigma 1.5 px": replace(NOMINAL, fluorophore=replace(FLUOROPHORE, sigma_px=1.5)),
    "sCMOS, every pixel its own gain, offset and noise": replace(NOMINAL, camera=ScmosChip()),
}
"""What is changed about the preset ``evaluate``; molecules stay where they are."""


@dataclass(frozen=True)
class Change:
    """NMSE under one condition, and its change relative to the nominal film.

    Both tuples are for each of ``evaluate.BLURS_PX``.
    """

    condition: str
    nmse_percent: tuple[float, ...]
    change_percent: tuple[float, ...]

    @property
    def tolerated(self) -> bool:
        """Whether the error grows by no more than ``TOLERATED_PERCENT`` at any blur."""
        return max(self.change_percent) <= TOLERATED_PERCENT

    def as_dict(self) -> dict[str, Any]:
        """For JSON, rounded to what a film of this length can tell."""
        rounded = {
            name: [round(each, 2) for each in value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return {**rounded, "tolerated": self.tolerated}


def changes(network: OnnxNetwork) -> list[Change]:
    """The network's NMSE under each of ``CONDITIONS`` beside the nominal film's."""
    nominal = score_scene(network, NOMINAL).image.nmse_percent
    found = []
    for name, scene in CONDITIONS.items():
        nmse_percent = score_scene(network, scene).image.nmse_percent
        relative = tuple(
            100 * (new / old - 1) for new, old in zip(nmse_percent, nominal, strict=True)
        )
        found.append(Change(name, nmse_percent, relative))
    return found


def warnings(found: list[Change]) -> list[str]:
    """One sentence for each condition under which the picture is worse than tolerated."""
    return [
        f"{change.condition}: NMSE {max(change.change_percent):+.0f} % relative to the film that "
        "the network was chosen by"
        for change in found
        if not change.tolerated
    ]
