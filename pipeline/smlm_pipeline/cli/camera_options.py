"""Options that describe the camera, for photons in tables of molecules, as a group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.camera_file import read_camera
from smlm_pipeline.tables.camera_units import CameraUnits

TABLE_PANEL = "Table of molecules"


@dataclass(frozen=True)
class CameraOptions:
    """Gain and offset of the camera, or the file that states them."""

    gain_adu_per_photon: Annotated[
        float | None,
        typer.Option(
            metavar="G",
            help="Gain of the camera, from photon to ADU, EM gain included: the table has photons "
            "then, else ADU.",
            show_default=False,
            rich_help_panel=TABLE_PANEL,
        ),
    ] = None
    offset_adu: Annotated[
        float | None,
        typer.Option(
            metavar="O",
            help="The camera's reading without light: the table has the background in photons "
            "then.",
            show_default=False,
            rich_help_panel=TABLE_PANEL,
        ),
    ] = None
    camera_file: Annotated[
        Path | None,
        typer.Option(
            "--camera",
            metavar="FILE",
            help="Take gain and offset from the JSON file that 'recon-train match' wrote; tables "
            "and reports state them as its estimate, with the errors.",
            show_default=False,
            rich_help_panel=TABLE_PANEL,
        ),
    ] = None

    def camera(self) -> CameraUnits | None:
        """The camera that the options describe, if they do.

        Raises
        ------
        SettingError
            If there is an offset without a gain, a number is absurd, or a file of a camera cannot
            be used, or is given beside numbers.
        """
        if self.camera_file is not None:
            numbers = {
                "--gain-adu-per-photon": self.gain_adu_per_photon,
                "--offset-adu": self.offset_adu,
            }
            for option in (option for option, number in numbers.items() if number is not None):
                raise SettingError(
                    f"--camera and {option} are both given; expected one of them, since "
                    f"{self.camera_file} states gain and offset: a number that is known can be "
                    "given to recon-train match, which keeps it"
                )
            return read_camera(self.camera_file)
        if self.gain_adu_per_photon is not None:
            return CameraUnits(self.gain_adu_per_photon, self.offset_adu)
        if self.offset_adu is not None:
            raise SettingError(
                "--offset-adu is given without --gain-adu-per-photon; expected both, since the "
                "background is stated in photons"
            )
        return None
