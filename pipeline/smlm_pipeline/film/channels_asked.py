"""Two channels of a film, as they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.selection import SPLITS, Half


@dataclass(frozen=True)
class Channels:
    """Two channels of a film: how it holds them, their names, and how they are registered.

    ``split`` is one of `film.selection.SPLITS`. ``beads`` is a film of beads, by which the second
    channel is registered to the first; without one it is by the images, if ``registers``.
    """

    split: str
    names: tuple[str, str]
    beads: Path | None = None
    registers: bool = True

    @property
    def halves(self) -> tuple[Half, Half]:
        """The parts of the film that are the channels."""
        return SPLITS[self.split]

    def check(self) -> None:
        """Refuse names that are not two, and a registration that is both off and by beads.

        Raises
        ------
        SettingError
            If one cannot be met.
        """
        first, second = self.names
        if not first or not second or first == second:
            raise SettingError(
                f"channel-names is {first},{second}; expected two unlike names as mEos,Alexa647"
            )
        if self.beads is not None and not self.registers:
            raise SettingError(
                "--registration off and --registration-film are both given; expected one of them"
            )
