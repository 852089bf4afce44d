"""Sums and candidates on a GPU, with the same bits as `compute.draw` and `compute.candidates`.

CuPy compiles ``gpu.cu`` and provides the memory. The network's answers stay where they are; only
the SR pixels that are not zero are copied to the host, and the pixels that may hold a molecule.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Any

import cupy
import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import PROBABILITY_MIN, Candidates
from smlm_pipeline.compute.draw import DRAWN_FROM, NOT_DETECTIONS, most_in_map, not_a_map
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import (
    Window,
    check_class_borders,
    check_image_size,
    check_map_window,
    check_window,
    class_limits_px2,
)
from smlm_pipeline.errors import ChunkError, DeviceError

OPTIONS = ("--fmad=false", "--ftz=false")
"""Options of the compiler: every sum and product rounds as in IEEE 754, and so as in NumPy."""

KERNELS = ("draw", "sum_map", "mark", "count", "place", "gather")
"""All kernels of the source."""

THREADS, BLOCKS_MOST = 256, 65_535
"""Threads of a block, and most blocks of a launch; kernels stride over what is left."""

PART = 1024
"""SR pixels that one thread searches for those that are not zero."""

_WORD_BYTES = np.dtype(np.int32).itemsize


def source() -> str:
    """The CUDA source of all kernels."""
    return resources.files("smlm_pipeline.compute").joinpath("gpu.cu").read_text("utf-8")


@functools.cache
def _module() -> cupy.RawModule:
    return cupy.RawModule(code=source(), options=OPTIONS)


def compile_kernels() -> None:
    """Compile for the current device, so that no request waits for it."""
    for name in KERNELS:
        _module().get_function(name)


def gpu_of(answers: cupy.ndarray) -> Gpu:
    """Return what computes on the GPU that the answers are on: always the same object."""
    return _gpu(answers.device.id)


@functools.cache
def _gpu(device_id: int) -> Gpu:
    with cupy.cuda.Device(device_id):
        return Gpu()


class Gpu:
    """Sums a network's answers on the current GPU, one request after another.

    Its stream and its memory are kept from request to request, and so it is not for several
    threads at once. The results are copies.
    """

    def __init__(self) -> None:
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._image, self._counts, self._entries = (_Kept(_on_device) for _ in range(3))
        self._counts_on_host, self._entries_on_host = _Kept(_pinned), _Kept(_pinned)
        self._bytes_to_host = 0

    def take_bytes_to_host(self) -> int:
        """Return how many bytes were copied to the host since the last call."""
        taken, self._bytes_to_host = self._bytes_to_host, 0
        return taken

    def draw(
        self,
        detections: cupy.ndarray,
        window: NDArray[np.int32],
        class_borders_px: NDArray[np.float32],
    ) -> SparseSums:
        """Draw detections as `compute.draw.draw` does.

        Parameters
        ----------
        detections : cupy.ndarray, shape (N, 7, H, W), float32
            Channels of ``contract.DETECTION_CHANNELS``, on this GPU.
        window : ndarray, shape (7,), int32
            ``contract.WINDOW``, on the host.
        class_borders_px : ndarray, shape (3,), float32
            ``contract.CLASS_BORDERS``, on the host.

        Returns
        -------
        SparseSums
            On the host, in units of 2^-16 emitters.

        Raises
        ------
        ChunkError
            As `compute.draw.draw`, or if the image has more SR pixels than the contract allows.
        DeviceError
            If the GPU's memory is full.
        """
        count, channels, *tile_px = detections.shape
        asked = check_window(window, *tile_px)
        check_image_size(asked)  # the kernels count SR pixels in 32 bits
        check_class_borders(class_borders_px, asked.classes)
        sizes = (count, channels, *tile_px, *_core_px(asked), asked.zoom, asked.classes)
        borders_px2 = np.full(contract.MAX_CLASSES - 1, np.inf, np.float32)
        borders_px2[: asked.classes - 1] = class_limits_px2(class_borders_px, asked.classes)
        terms = (
            *map(np.int32, sizes),
            *borders_px2,
            np.int32(contract.MARGIN_PX),
            np.float32(contract.MAX_OFFSET_PX),
            DRAWN_FROM,
            np.float32(contract.WEIGHT_ONE),
        )
        with self._reading(detections) as found:
            image, counts = self._zeros(asked.size)
            work = count * asked.height_px * asked.width_px
            _launch("draw", work, (found, image, counts, *terms))
            return self._sums(image, counts, NOT_DETECTIONS)

    def sum_map(self, maps: cupy.ndarray, window: NDArray[np.int32]) -> SparseSums:
        """Sum maps as `compute.draw.sum_map` does.

        Parameters
        ----------
        maps : cupy.ndarray, shape (N, 1, MAP_ZOOM H, MAP_ZOOM W), float32
            Expected emitters per SR pixel, on this GPU.
        window : ndarray, shape (7,), int32
            ``contract.WINDOW``, on the host.

        Returns
        -------
        SparseSums
            On the host, in units of 2^-16 emitters.

        Raises
        ------
        ChunkError
            As `compute.draw.sum_map`.
        DeviceError
            If the GPU's memory is full.
        """
        count, _, *map_size = maps.shape
        asked = check_map_window(window, *map_size)
        fine, most = contract.MAP_ZOOM, most_in_map(count)
        core = [fine * size_px for size_px in _core_px(asked)]
        sizes = (count, *map_size, *core, fine * contract.MARGIN_PX)
        terms = (*map(np.int32, sizes), np.float32(contract.WEIGHT_ONE), np.float64(most))
        with self._reading(maps) as found:
            image, counts = self._zeros(asked.size)
            _launch("sum_map", core[2] * core[3], (found, image, counts, *terms))
            return self._sums(image, counts, not_a_map(most))

    def candidates(self, detections: cupy.ndarray) -> Candidates:
        """Find the pixels that may hold a molecule as `compute.candidates.candidates` does.

        Parameters
        ----------
        detections : cupy.ndarray, shape (N, 7, H, W), float32
            Channels of ``contract.DETECTION_CHANNELS``, on this GPU.

        Returns
        -------
        Candidates
            On the host.

        Raises
        ------
        DeviceError
            If the GPU's memory is full.
        """
        count, channels, height_px, width_px = detections.shape
        plane = height_px * width_px
        sizes = (np.int32(count), np.int32(channels), np.int32(plane))
        with self._reading(detections) as found:
            image, counts = self._zeros(count * plane)
            _launch("mark", count * plane, (found, image, *sizes, np.float32(PROBABILITY_MIN)))
            counted = self._count(image, counts)
            entries = self._select(image, counts, counted, found)
        frame, row, column = np.unravel_index(entries[0], (count, height_px, width_px))
        return Candidates(frame, row, column, entries[1:].view(np.float32).copy())

    @contextlib.contextmanager
    def _reading(self, answers: cupy.ndarray) -> Iterator[cupy.ndarray]:
        """Compute on the stream of this object, after those who write the answers."""
        with answers.device:
            cupy.cuda.get_current_stream().synchronize()
            with self._stream:
                yield cupy.ascontiguousarray(answers)

    def _zeros(self, size: int) -> tuple[cupy.ndarray, cupy.ndarray]:
        """An image with so many SR pixels, whole parts, and the flag and counts of its parts.

        The flag is the first word; a kernel raises it where an answer is invalid.
        """
        parts = -(-size // PART)
        image, counts = self._image.first(parts * PART), self._counts.first(1 + parts)
        image.fill(0)
        counts.fill(0)
        return image, counts

    def _sums(self, image: cupy.ndarray, counts: cupy.ndarray, complaint: str) -> SparseSums:
        """The SR pixels that are not zero; or the error, if the flag is raised."""
        counted = self._count(image, counts)
        if counted[0]:
            raise ChunkError(complaint)
        index, weight = self._select(image, counts, counted, image.reshape(1, 1, -1))
        return SparseSums(index.astype(np.int64), weight.astype(np.int64))

    def _count(self, image: cupy.ndarray, counts: cupy.ndarray) -> NDArray[np.int32]:
        """The flag, and how many SR pixels of each part are not zero, in one copy."""
        parts = len(counts) - 1
        _launch("count", parts, (image, counts[1:], np.int32(parts), np.int32(PART)))
        return self._to_host(counts, self._counts_on_host)

    def _select(
        self,
        image: cupy.ndarray,
        starts: cupy.ndarray,
        counted: NDArray[np.int32],
        values: cupy.ndarray,
    ) -> NDArray[np.int32]:
        """Places of the pixels that are not zero, ascending, and the values there.

        From values (N, C, ...) to words (1 + C, K), in memory that the next request overwrites.
        """
        channels, plane = values.shape[1], math.prod(values.shape[2:])
        # The flag is 0: so this gives the start of each part, and behind them the end of the last.
        np.cumsum(counted, dtype=np.int32, out=counted)
        found, parts = int(counted[-1]), len(counted) - 1
        if not found:
            return np.zeros((1 + channels, 0), np.int32)
        entries = self._entries.first((1 + channels) * found)
        index, gathered = entries[:found], entries[found:]
        starts.set(counted)
        _launch("place", parts, (image, starts, index, np.int32(parts), np.int32(PART)))
        sizes = (np.int32(found), np.int32(channels), np.int32(plane))
        _launch("gather", channels * found, (values, index, gathered, *sizes))
        return self._to_host(entries, self._entries_on_host).reshape(1 + channels, found)

    def _to_host(self, words: cupy.ndarray, kept: _Kept) -> NDArray[np.int32]:
        """Copy to pinned memory, and wait until it is there."""
        on_host: NDArray[np.int32] = kept.first(len(words))
        words.get(out=on_host)
        self._bytes_to_host += on_host.nbytes
        return on_host


class _Kept:
    """Words of 32 bits that are kept from request to request, and grow with them."""

    def __init__(self, allocate: Callable[[int], Any]) -> None:
        self._allocate = allocate
        self._words: Any = ()

    def first(self, count: int) -> Any:
        """The first words, with any content."""
        if len(self._words) < count:
            self._words = ()  # is freed before more is taken
            self._words = self._allocate(count + count // 4)
        return self._words[:count]


def _on_device(count: int) -> cupy.ndarray:
    cupy.get_default_memory_pool().free_all_blocks()
    try:
        return cupy.empty(count, np.int32)
    except cupy.cuda.memory.OutOfMemoryError as error:
        needed_mib = math.ceil(count * _WORD_BYTES / 2**20)
        raise DeviceError(
            f"the GPU has no {needed_mib} MiB left for the sums of this request; ask for a smaller "
            "zoom, fewer precision classes or smaller tiles, or start the server with fewer "
            "networks or a smaller --cuda-memory-pool-byte-size"
        ) from error


def _pinned(count: int) -> NDArray[np.int32]:
    cupy.get_default_pinned_memory_pool().free_all_blocks()
    memory = cupy.cuda.alloc_pinned_memory(count * _WORD_BYTES)
    return np.frombuffer(memory, np.int32, count)


def _core_px(asked: Window) -> tuple[int, int, int, int]:
    """Top, left, height and width of the core."""
    return asked.top_px, asked.left_px, asked.height_px, asked.width_px


def _launch(kernel: str, work: int, arguments: Sequence[Any]) -> None:
    blocks = min(-(-work // THREADS), BLOCKS_MOST)
    _module().get_function(kernel)((blocks,), (THREADS,), tuple(arguments))
