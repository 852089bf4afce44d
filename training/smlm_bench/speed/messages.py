"""Bytes of requests and of their answers, as they travel, for requests of the usual size."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.speed.films import FILMS, simulated
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.window import Window
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import CARD_FILE, find_model_repository, network_file
from smlm_pipeline.settings import DEFAULTS, Settings, frames_per_chunk


@dataclass(frozen=True)
class MessageSize:
    """Tensors of one request and of its answer, without their headers of some 200 bytes.

    ``film`` is one of ``films.FILMS``, ``classes`` the number of precision classes.
    ``frames_bytes`` are those of the frames alone, two for a pixel.
    """

    network: str
    film: str
    size_px: int
    classes: int
    frames: int
    frames_bytes: int
    request_bytes: int
    answer_bytes: int

    @property
    def share(self) -> float:
        """The answer as a share of the frames."""
        return self.answer_bytes / self.frames_bytes


def message_sizes(networks: Sequence[str], sizes_px: Sequence[int]) -> Iterator[MessageSize]:
    """Answer a request of each network, film and size of frames, in float32.

    Parameters
    ----------
    networks : sequence of str
        Networks of the repository that ships.
    sizes_px : sequence of int
        Edges of the frames, at most the largest tile's.

    Yields
    ------
    MessageSize
        With one precision class, and with the most where the network has borders for them.
    """
    for name in networks:
        file = network_file(find_model_repository(), name)
        network = open_network(file, precision="f32")
        borders_px = _class_borders(json.loads(file.with_name(CARD_FILE).read_text("utf-8")))
        model = contract.ensemble_of(name).name
        for size_px, (film, preset) in itertools.product(sizes_px, FILMS.items()):
            frames = frames_per_chunk(Settings(model=model), size_px, size_px)
            film_adu, film_levels_adu = prepared(simulated(preset, frames, size_px))
            frames_adu, levels_adu = film_adu[:frames], film_levels_adu[:frames]
            answers = network.detect(frames_adu, levels_adu)
            for classes, borders in borders_px.items():
                window = Window(DEFAULTS.zoom, 0, 0, size_px, size_px, classes).as_tensor()
                sums = encode(sum_answers(answers, window, borders, network.answer))
                sent: list[NDArray[Any]] = [frames_adu, levels_adu, window, _NUMBER]
                sent += [] if network.answer.makes_maps else [borders]
                yield MessageSize(
                    *(name, film, size_px, classes, frames),
                    frames_bytes=frames_adu.nbytes,
                    request_bytes=sum(tensor.nbytes for tensor in sent),
                    answer_bytes=sum(tensor.nbytes for tensor in (*sums, _NUMBER)) + _COUNT_BYTES,
                )


_COUNT_BYTES = 4
"""Size of FRAME_COUNT."""

_NUMBER = np.zeros(contract.REQUEST.dims, np.int32)
"""REQUEST, and SUMMED_REQUEST in the answer."""


def _class_borders(card: dict[str, dict[str, list[float]]]) -> dict[int, NDArray[np.float32]]:
    """The tensor CLASS_BORDERS for one class, and for the most where a card states borders."""
    borders_px = {1: np.zeros(contract.CLASS_BORDERS.dims, np.float32)}
    most = contract.MAX_CLASSES
    if stated := card.get(contract.CLASS_BORDERS_PARAMETER):
        borders_px[most] = np.array(stated[str(most)], np.float32)
    return borders_px


def message_rows(sizes: Sequence[MessageSize]) -> list[list[str]]:
    """Rows of a table under ``MESSAGE_HEADS``."""
    return [
        [
            *(each.network, str(each.size_px), each.film, str(each.classes), str(each.frames)),
            f"{each.request_bytes / each.frames:,.0f}",
            f"{each.answer_bytes / each.frames:,.0f}",
            f"{100 * each.share:.0f} %",
        ]
        for each in sizes
    ]


MESSAGE_HEADS = (
    *("network", "px", "film", "classes", "frames a request", "bytes in a frame"),
    *("bytes out a frame", "answer, of the frames"),
)
