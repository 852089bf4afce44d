"""Engines without a network: one that computes by simple rules, one that plays a script."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.sparse import sparse
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.localise.chunk import molecules


def neighbour_detections(normalized: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network with a receptive field of 3 x 3 pixels might answer: shape (N, 7, H, W).

    Brighter pixels are likelier, offsets point to the brighter neighbours, and every value
    depends on its own neighbourhood alone, so tiles agree to the last bit.
    """
    padded = np.pad(normalized[:, 0], ((0, 0), (1, 1), (1, 1)))
    above, below = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    probability = np.clip(normalized[:, 0] / 2, 0, 1)
    offset_y = np.clip((below - above) / 2, -1, 1)
    offset_x = np.clip((right - left) / 2, -1, 1)
    sigma = np.full_like(probability, 0.1)
    intensity = 4 + 20 * probability
    channels = [probability, offset_y, offset_x, sigma, sigma, intensity, intensity / 8]
    return np.stack(channels, axis=1)


def is_look(request: Request) -> bool:
    """Whether it belongs to the look before a run: no test's image has so small a zoom."""
    return request.window.molecules and request.window.zoom == 1


def molecules_apart(
    window: Window, intensity: Callable[[int], NDArray[np.float64]]
) -> NDArray[np.float32]:
    """``MOLECULES`` of sure ones on a grid, far apart in the window, in the first frame.

    ``intensity`` is called with their number; what it states is sure too.
    """
    y_px = window.top_px + np.arange(4, window.height_px - 3, 8)
    x_px = window.left_px + np.arange(4, window.width_px - 3, 8)
    grid = np.stack(np.meshgrid(y_px, x_px), -1).reshape(-1, 2)
    table = np.ones((len(grid), len(contract.MOLECULE_COLUMNS)), np.float32)
    table[:, 0], table[:, 1:3] = 0, grid
    table[:, 6], table[:, 7] = intensity(len(grid)), 1e-3
    return table


def molecules_that_persist(window: Window, frames: int) -> NDArray[np.float32]:
    """``MOLECULES`` of the same unlike ones in all frames: a look leaves the scale as it is."""
    table = molecules_apart(window, lambda count: np.geomspace(0.2, 5, count))
    tables = np.tile(table, (frames, 1))
    tables[:, 0] = np.repeat(np.arange(frames), len(table))
    return tables


class ComputingTransport:
    """The kernels around `neighbour_detections`; it remembers the requests, by label.

    Those of the look before a run are among the ``looks``; it shows them no molecules, so scales
    stay as the survey finds them.
    """

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self.looks: dict[str, Request] = {}

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        (self.looks if is_look(request) else self.requests)[request.label] = request
        normalized = normalize(request.frames_adu, request.levels_adu)
        detections = neighbour_detections(normalized)
        sums = draw(detections, request.window.as_tensor(), request.class_borders_px)
        asked = request.window.molecules and not is_look(request)
        found = molecules(candidates(detections), request.window) if asked else None
        return ChunkAnswer(sums, len(request.frames_adu), found)


class ScriptedTransport:
    """Raises, for each request, the errors of its script one by one, and then answers.

    Parameters
    ----------
    scripts : mapping of label to errors
        What the first attempts at a request end with.
    before : callable, optional
        Called with the label first thing in each attempt, in the thread of that attempt.
    """

    def __init__(
        self,
        scripts: dict[str, Sequence[BaseException]] | None = None,
        *,
        before: Callable[[str], None] = lambda _label: None,
    ) -> None:
        self._scripts = scripts or {}
        self._before = before
        self._lock = threading.Lock()
        self.attempts: defaultdict[str, int] = defaultdict(int)
        self.answered = 0

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        with self._lock:
            attempt = self.attempts[request.label]
            self.attempts[request.label] += 1
        self._before(request.label)
        script = self._scripts.get(request.label, ())
        if attempt < len(script):
            raise script[attempt]
        with self._lock:
            self.answered += 1
        return ChunkAnswer(sparse(np.zeros((1, 1), np.int32)), len(request.frames_adu))
