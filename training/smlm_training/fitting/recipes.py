"""Recipes of training runs, and the presets, which are recipes with a name.

The reference paper is Q. Zhang, *Accelerated Single-Molecule Microscopy Image Reconstruction
Algorithm Based on TensorRT*.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smlm_training.fitting.ranges import Ranges
from smlm_training.simulation.bounds import check_one_of, check_whole, check_within

SCHEDULES = ("cosine", "plateau")
DATA = ("simulated", "film")


@dataclass(frozen=True)
class Cut:
    """Settings of the cut of training pairs from a film; see ``patches.cut_pairs``.

    Raises
    ------
    SettingError
        If a number is out of its bounds; the message names it.
    """

    patch_px: int = 26
    patches_per_frame: int = 500
    emitters_min: int = 7
    pairs_most: int = 10_000
    train_share: float = 0.7
    pixel_size_nm: float = 100.0

    def __post_init__(self) -> None:
        check_whole("cut.patch_px", self.patch_px, 1, 4096)
        check_whole("cut.patches_per_frame", self.patches_per_frame, 1, 10**6)
        check_whole("cut.emitters_min", self.emitters_min, 0, 10**6)
        check_whole("cut.pairs_most", self.pairs_most, 1, 10**7)
        check_within("cut.train_share", self.train_share, 0, 1)
        check_within("cut.pixel_size_nm", self.pixel_size_nm, 1, 1e5)


@dataclass(frozen=True)
class Recipe:
    """All settings that determine the network that a run produces.

    Raises
    ------
    SettingError
        If a number is out of its bounds; the message names it.
    """

    network: str = "unet"
    """Name of the network in ``networks.NETWORKS``."""
    start_required: bool = False
    """Whether a run begins with a trained network: from random weights, so low a learning rate
    and so few steps do not converge."""
    data: str = "simulated"
    """``simulated``: endless films of ``ranges``; ``film``: patches of a film, by ``cut``."""
    seed: int = 20261122
    batch: int = 16
    steps: int = 56_000
    epoch_steps: int = 800
    """Steps between two checkpoints, each with a validation."""
    float32_steps: int = 7_000
    """The last steps compute in float32; those before in bfloat16, 1.6 times as fast."""
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    """``cosine``: linear warm-up, then a cosine down to a hundredth; ``plateau``: a tenth whenever
    the validation loss has not fallen for five epochs, but at least 5e-5, and the run ends with
    the network of the least one."""
    warmup_steps: int = 500
    """Warm-up of the cosine schedule."""
    clip_norm: float = 1.0
    """Largest norm of the gradient of a hundredth of the loss; 0 sets no limit."""
    average_decay: float = 0.0
    """Decay of the exponential moving average of the weights, which is then the result of the
    run; 0 keeps no average."""
    l1_weight: float = 0.02
    """Weight of the L1 term in the loss of map networks. Equation (1) of the reference paper has
    1, which loses half of the emitters; 0.02 keeps their number within 2 %."""
    grid_weight: float = 0.0
    """Weight of the loss by which detections do not gather at the camera's grid, per molecule;
    see ``losses.grid_loss``. Frames have an even edge then."""
    ranges: Ranges = field(default_factory=Ranges)
    cut: Cut = field(default_factory=Cut)

    def __post_init__(self) -> None:
        check_one_of("data", self.data, DATA)
        check_one_of("schedule", self.schedule, SCHEDULES)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("batch", self.batch, 1, 4096)
        check_whole("steps", self.steps, 1, 10**9)
        check_whole("epoch_steps", self.epoch_steps, 1, 10**6)
        check_whole("float32_steps", self.float32_steps, 0, self.steps)
        check_whole("warmup_steps", self.warmup_steps, 0, 10**6)
        check_within("learning_rate", self.learning_rate, 0.0, 1)
        check_within("clip_norm", self.clip_norm, 0, 1e6)
        check_within("average_decay", self.average_decay, 0, 1 - 1e-6)
        check_within("l1_weight", self.l1_weight, 0, 1e3)
        check_within("grid_weight", self.grid_weight, 0, 1e3)

    @property
    def patch_px(self) -> int:
        """Edge of the training frames."""
        return self.ranges.patch_px if self.data == "simulated" else self.cut.patch_px

    def shortened(self, steps: int) -> Recipe:
        """The same recipe with this many steps, the same share of them in float32."""
        share = self.float32_steps / self.steps
        return replace(self, steps=steps, float32_steps=round(steps * share))


PRESETS = {
    "default": Recipe(),
    "finish": Recipe(
        start_required=True,
        seed=20261202,
        steps=20_000,
        epoch_steps=500,
        float32_steps=2_500,
        learning_rate=2.5e-4,
        average_decay=0.998,
    ),
    "fast": Recipe(network="unet-fast"),
    "map": Recipe(network="unet-map", steps=20_000, float32_steps=2_500),
    "seed": Recipe(
        network="unet-interpolated",
        data="film",
        steps=43_700,
        epoch_steps=437,
        float32_steps=43_700,
        schedule="plateau",
        warmup_steps=0,
        clip_norm=0.0,
        l1_weight=1.0,
    ),
}
"""Presets by their name on the command line.

``finish`` continues from a trained ``unet`` (``fit --start``), at a learning rate that forgets
little. ``fast`` is ``default`` for the small network. ``map`` is the U-Net with a fine map as its
answer, on simulated films. ``seed`` is the recipe of the reference paper: its form of
network, data, loss as written, batch and 100 epochs of 7,000 pairs; schedule and learning rate
are Deep-STORM's (doi 10.1364/OPTICA.5.000458), where the paper's text has 1e-4 and no schedule.
"""
