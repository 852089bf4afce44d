"""Bytes of requests and of their answers, as they travel, for requests of the usual size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smlm_bench.speed.films import FILMS, simulated
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import sum_answers
from smlm_pipeline.compute.network import byte_pairs
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.sparse import encode
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
    """Answer one request of each network, film, size of frames and number of classes.

    Parameters
    ----------
    networks : sequence of str
        Networks of the repository that ships.
    sizes_px : sequence of int
        Edges of the frames, at most the largest tile's.

    Yields
    ------
    MessageSize
        In float32; one class, and as many as possible where the network has them.
    """
    for name in networks:
        file = network_file(find_model_repository(), name)
        network = open_network(file, precision="f32")
        borders_px = _class_borders(json.loads(file.with_name(CARD_FILE).read_text("utf-8")))
        settings = Settings(model=contract.ensemble_of(name).name)
        for size_px in sizes_px:
            frames = frames_per_chunk(settings, size_px, size_px)
            for film, preset in FILMS.items():
                shown_adu, levels_adu = prepared(simulated(preset, frames, size_px))
                request = byte_pairs(shown_adu[:frames]), levels_adu[:frames]
                answers = network.detect(shown_adu[:frames], levels_adu[:frames])
                for classes, borders in borders_px.items():
                    window = Window(DEFAULTS.zoom, 0, 0, size_px, size_px, classes).as_tensor()
                    sums = sum_answers(answers, window, borders, network.answer)
                    sent = (*request, window, *([] if network.answer.makes_maps else [borders]))
                    received = (*encode(sums), np.array([frames], np.int32))
                    yield MessageSize(
                        *(name, film, size_px, classes, frames, request[0].nbytes),
                        request_bytes=sum(tensor.nbytes for tensor in sent),
                        answer_bytes=sum(tensor.nbytes for tensor in received),
                    )


def _class_borders(card: dict[str, dict[str, list[float]]]) -> dict[int, NDArray[np.float32]]:
    """The tensor CLASS_BORDERS for one class, and for the most where a card states borders."""
    borders_px = {1: np.zeros(contract.CLASS_BORDERS.dims, np.float32)}
    most = str(contract.MAX_CLASSES)
    if stated := card.get(contract.CLASS_BORDERS_PARAMETER):
        borders_px[contract.MAX_CLASSES] = np.array(stated[most], np.float32)
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
