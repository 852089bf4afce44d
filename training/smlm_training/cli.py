"""``recon-train``: from simulated films to a published network."""

from __future__ import annotations

from smlm_pipeline.cli.exit_codes import EXIT_CODES
from smlm_pipeline.cli.lazy_commands import LazyCommand, lazy_app

_COMMANDS = "smlm_training.commands"

COMMANDS = (
    LazyCommand(
        "simulate",
        f"{_COMMANDS}.simulate:simulate",
        "Simulate a film with its true positions, as ThunderSTORM would write them.",
    ),
    LazyCommand(
        "match",
        f"{_COMMANDS}.match:match",
        "Measure optics, molecules and camera of a film; write a preset to fit a network by.",
    ),
    LazyCommand(
        "fit",
        f"{_COMMANDS}.fit:fit",
        "Train a network; the first checkpoint and all later ones report the time left.",
    ),
    LazyCommand(
        "export",
        f"{_COMMANDS}.export:export",
        "Export a trained network to ONNX, with model.json and reference.npz beside it.",
    ),
    LazyCommand(
        "halve",
        f"{_COMMANDS}.export:halve",
        "Write a network's FP16 variant, with its scores beside the FP32 ones in its card.",
    ),
    LazyCommand(
        "reference",
        f"{_COMMANDS}.export:reference",
        "Write what TensorRT plans are checked by and made of beside a network.",
    ),
    LazyCommand(
        "publish",
        f"{_COMMANDS}.publish:publish",
        "Put a network into a model repository, as the next version of its model.",
    ),
    LazyCommand(
        "evaluate",
        f"{_COMMANDS}.evaluate:evaluate",
        "Score an image, and the network's localisations, against the true positions.",
    ),
)

app = lazy_app(
    *COMMANDS,
    program="recon-train",
    help="Simulate films, train a network, export and publish it, and score its images.",
    epilog=EXIT_CODES,
)
