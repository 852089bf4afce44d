"""Options of films with two channels, as a group."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.selection import SPLITS

CHANNELS_PANEL = "Two channels"


class RegistrationName(str, enum.Enum):
    """Whether the second channel is registered by the images."""

    AUTO = "auto"
    OFF = "off"


@dataclass(frozen=True)
class ChannelOptions:
    """How a film holds two channels, and how the second is registered to the first."""

    channels: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help=f"The film has two channels ({'; '.join(SPLITS)}): one image of both, the second "
            "registered to the first.",
            show_default=False,
            rich_help_panel=CHANNELS_PANEL,
        ),
    ] = None
    channel_names: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST,SECOND",
            help="Names of the two channels, as mEos,Alexa647.",
            show_default=False,
            rich_help_panel=CHANNELS_PANEL,
        ),
    ] = None
    registration: Annotated[
        RegistrationName,
        typer.Option(
            help="'auto' shifts the second channel by the structure that both show, if they do; "
            "'off' leaves it as it is.",
            rich_help_panel=CHANNELS_PANEL,
        ),
    ] = RegistrationName.AUTO
    registration_film: Annotated[
        Path | None,
        typer.Option(
            metavar="BEADS",
            help="Film or picture of beads, of the same region and split alike: registers the "
            "second channel by an affine map.",
            show_default=False,
            rich_help_panel=CHANNELS_PANEL,
        ),
    ] = None

    def choice(self) -> Channels | None:
        """The channels, if there are two.

        Raises
        ------
        SettingError
            If there is no such split, or options are given that need one.
        """
        automatic = self.registration is RegistrationName.AUTO
        if self.channels is None:
            given = {
                "--channel-names": self.channel_names is not None,
                "--registration off": not automatic,
                "--registration-film": self.registration_film is not None,
            }
            for option in (option for option, wanted in given.items() if wanted):
                raise SettingError(
                    f"{option} is given without --channels; expected --channels "
                    f"{' or '.join(SPLITS)} too, for a film of two channels"
                )
            return None
        split = self.channels.replace(" ", "").lower()
        if split not in SPLITS:
            raise SettingError(f"channels is {self.channels!r}; expected {', '.join(SPLITS)}")
        names: list[str] = list(SPLITS[split])
        if self.channel_names is not None:
            names = [name.strip() for name in self.channel_names.split(",")]
        if len(names) != 2:
            raise SettingError(
                f"channel-names is {self.channel_names!r}; expected two names as mEos,Alexa647"
            )
        return Channels(split, (names[0], names[1]), self.registration_film, automatic)
