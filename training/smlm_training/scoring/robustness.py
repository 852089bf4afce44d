"""Measure how the image's error changes with camera, brightness and optics."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_training.scoring.film_scores import score_scene
from smlm_training.simulation.presets import CAMERA, FLUOROPHORE, PRESETS
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scmos import ScmosChip

TOLERATED_PERCENT = 10.0
"""Largest relative increase of the NMSE without a warning."""

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
"""Changes to the preset ``evaluate``; emitters keep their places."""


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
        """For JSON, rounded to the precision that a film of this length gives."""
        rounded = {
            name: [round(number, 2) for number in value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return {**rounded, "tolerated": self.tolerated}


def changes(network: OnnxNetwork) -> list[Change]:
    """The network's NMSE under each of ``CONDITIONS``, relative to the nominal film."""
    nominal = score_scene(network, NOMINAL).image.nmse_percent
    measured = []
    for name, scene in CONDITIONS.items():
        nmse_percent = score_scene(network, scene).image.nmse_percent
        relative = tuple(
            100 * (new / old - 1) for new, old in zip(nmse_percent, nominal, strict=True)
        )
        measured.append(Change(name, nmse_percent, relative))
    return measured


def warnings(measured: list[Change]) -> list[str]:
    """One sentence for each condition under which the image is worse than tolerated."""
    return [
        f"{change.condition}: NMSE {max(change.change_percent):+.0f} % relative to the film that "
        "the network was chosen by"
        for change in measured
        if not change.tolerated
    ]
