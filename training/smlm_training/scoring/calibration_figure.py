"""Reliability at a glance: sigmas against errors, probabilities against frequencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from smlm_training.scoring.calibration import ProbabilityCalibration, SigmaCalibration


def write_calibration_figure(
    path: Path, sigma: SigmaCalibration, probability: ProbabilityCalibration
) -> None:
    """Two panels with the identity line, where a calibrated network's points lie.

    Parameters
    ----------
    path : Path
        The PNG to write.
    sigma : SigmaCalibration
        Left: root mean square error against root mean square sigma of each bin.
    probability : ProbabilityCalibration
        Right: frequency of true molecules against mean probability of each bin,
        with the standard error sqrt(p (1 - p) / n) of a calibrated network's.
    """
    figure = Figure(figsize=(9.6, 5.0), layout="tight")
    left, right = figure.subplots(1, 2)
    largest = max([1.0, *(max(each.sigma_nm, each.error_nm) for each in sigma.bins)]) * 1.08
    left.plot([0, largest], [0, largest], color="0.6", linestyle="--", label="calibrated")
    left.plot(
        [each.sigma_nm for each in sigma.bins],
        [each.error_nm for each in sigma.bins],
        "o-",
        label=f"RMS error / sigma {sigma.z_rms:.2f}",
    )
    left.set(
        xlim=(0, largest),
        ylim=(0, largest),
        xlabel="predicted sigma (nm)",
        ylabel="RMS error (nm)",
        title="errors along y and x",
    )
    stated = np.array([each.probability for each in probability.bins])
    found = np.array([each.found for each in probability.bins])
    right.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="calibrated")
    right.errorbar(
        stated,
        [each.frequency for each in probability.bins],
        yerr=np.sqrt(stated * (1 - stated) / found),
        fmt="o-",
        capsize=3,
        label=f"expected error {probability.expected_error:.3f}",
    )
    right.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="predicted probability",
        ylabel="share with a true molecule",
        title="found molecules",
    )
    for axes in (left, right):
        axes.set_box_aspect(1)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)
