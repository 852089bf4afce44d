"""Borders of the precision classes, in which `summation` draws detections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.network import Network
from smlm_training.scoring.inference import detect
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.simulate import joined

_FRAMES = 40
"""Frames of each film: some 1600 molecules where they are fewest."""

_DIGITS = 4
"""Decimals of a border; 0.0001 px are 0.01 nm."""


def class_borders_px(network: Network, scenes: Iterable[Scene]) -> dict[int, tuple[float, ...]]:
    """Borders between precision classes that hold equal numbers of expected emitters.

    Parameters
    ----------
    network : Network
        It answers with detections.
    scenes : iterable of Scene
        Films; each counts alike, whatever its number of molecules.

    Returns
    -------
    dict
        For S = 2 to ``MAX_CLASSES`` classes their S - 1 ascending borders: quantiles of the
        detections' sigma, the root mean square of sigma y and sigma x in camera pixels, weighted
        by probability.
    """
    films = [_sigmas_and_shares(network, scene) for scene in scenes]
    sigma_px, share = (np.concatenate(parts) for parts in zip(*films, strict=True))
    order = np.argsort(sigma_px, kind="stable")
    sigma_px, below = sigma_px[order], np.cumsum(share[order])

    def quantile(part: float) -> float:
        return round(float(sigma_px[np.searchsorted(below, part * below[-1])]), _DIGITS)

    return {
        classes: tuple(quantile(border / classes) for border in range(1, classes))
        for classes in range(2, contract.MAX_CLASSES + 1)
    }


def _sigmas_and_shares(
    network: Network, scene: Scene
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sigma of each detection, and its probability as a share of the film's emitters."""
    film = joined(list(replace(scene, frames=_FRAMES).blocks()))
    answers = detect(network, film.frames_adu).astype(np.float64)
    probability, _, _, sigma_y_px, sigma_x_px = (
        answers[:, channel].ravel() for channel in range(5)
    )
    return np.sqrt((sigma_y_px**2 + sigma_x_px**2) / 2), probability / probability.sum()
