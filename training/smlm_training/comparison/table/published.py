"""The seed's Table 1, as published: its own hardware, film and convention of scoring."""

from __future__ import annotations

from dataclasses import dataclass

HARDWARE = "NVIDIA RTX 3090, Intel Xeon Platinum 8350C"
FILM = "361 frames of simulated microtubules, 12.5 nm grid"


@dataclass(frozen=True)
class PublishedRow:
    """One row: NMSE (%), PSNR (dB), ms a frame, and the methods here that stand beside it."""

    name: str
    nmse_percent: float
    psnr_db: float
    ms_per_frame: float
    beside: tuple[str, ...]


TABLE_1 = (
    PublishedRow("CEL0", 37.67, 22.47, 51736.8, ("cel0",)),
    PublishedRow("FALCON", 40.81, 22.33, 337.95, ("falcon",)),
    PublishedRow("Deep-STORM", 37.51, 22.92, 20.0, ("deep-storm@keras", "deep-storm@onnx")),
    PublishedRow("literature [5]", 34.32, 23.42, 16.6, ("unet-interpolated@keras",)),
    PublishedRow(
        "Ours (the seed's)",
        34.65,
        23.29,
        12.3,
        ("unet-interpolated@onnx", "unet-interpolated@triton"),
    ),
)
"""Whether its images were blurred or scaled before, and how its truth was binned, is not stated."""


def published_beside(method: str) -> PublishedRow | None:
    """The published row of the same method, if there is one."""
    return next((row for row in TABLE_1 if method in row.beside), None)
