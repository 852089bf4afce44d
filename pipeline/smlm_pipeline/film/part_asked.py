"""The part of a film that one machine sums, where several share the film."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.selection import frames_range, frames_text


@dataclass(frozen=True)
class PartAsked:
    """A part of a film to sum, and the file to write its sum to.

    ``frames`` are first and last (excluded; None is the end). ``share`` is I and N for the I-th,
    from 0, of N parts that are as equal as whole frames allow; then ``frames`` does not count.
    """

    path: Path
    frames: tuple[int, int | None] = (0, None)
    share: tuple[int, int] | None = None

    @classmethod
    def parse(cls, path: Path, text: str | None) -> PartAsked:
        """A part of frames ``A:B`` or ``I/N``; of all if there is no text.

        Raises
        ------
        SettingError
            If it is neither.
        """
        if text is None:
            return cls(path)
        share = re.fullmatch(r"(\d+)/(\d+)", text.replace(" ", ""))
        if share:
            number, count = int(share[1]), int(share[2])
            if number >= count:
                raise SettingError(
                    f"frames is {text!r}; expected I/N with I from 0 to N - 1, the I-th of N parts"
                )
            return cls(path, share=(number, count))
        first, last, *step = frames_range(text)
        if step:
            raise SettingError(
                f"frames is {text!r}; expected A:B with --partial: frames that follow one another "
                "are a part of a film"
            )
        return cls(path, (first, last))

    def of(self, frame_count: int) -> range:
        """The frames of the part, of a film of so many.

        Raises
        ------
        SettingError
            If they are not in the film.
        """
        if self.share is not None:
            number, count = self.share
            return range(number * frame_count // count, (number + 1) * frame_count // count)
        first, last = self.frames
        if first >= frame_count or (last or 0) > frame_count:
            raise SettingError(
                f"frames is {frames_text(self.frames)}; expected numbers up to {frame_count}, the "
                "frames of the film"
            )
        return range(first, frame_count if last is None else last)
