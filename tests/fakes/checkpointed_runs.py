"""Runs of ten chunks that are kept in a checkpoint, interrupted and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.events import RecordedEvents
from smlm_pipeline.compute.sparse import sparse
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.engines.transport import ChunkAnswer
from smlm_pipeline.errors import InferenceError
from smlm_pipeline.run import chunking
from smlm_pipeline.run.accumulate import Accumulator
from smlm_pipeline.run.canvas import Canvas
from smlm_pipeline.run.checkpoint import FileCheckpoint
from smlm_pipeline.run.chunking import Chunk
from smlm_pipeline.run.identity import RunIdentity
from smlm_pipeline.run.sinks import Sinks

ZOOM = 2
CHUNKS = chunking.plan(20, 40, 30, chunk_frames=2, tile_px=64)
SHAPE = image_shape(ZOOM, 40, 30)
IDENTITY = RunIdentity(
    film_sha256="f1",
    model="reconstruction",
    contract_version=3,
    software="smlm-recon 1",
    zoom=ZOOM,
    chunk_frames=2,
    tile_px=64,
    requests=len(CHUNKS),
    model_version="1",
    network_sha256="abc",
    network_engine="OpenVINO",
    precision="f32",
)


def unchanged() -> None:
    """Servers serve the network that they served."""


def image(index: int) -> NDArray[np.int32]:
    return np.random.default_rng(index).integers(0, 1 << 31, SHAPE, dtype=np.int32)


def add(sinks: Sinks, *indices: int) -> None:
    for index in indices:
        sinks.add(CHUNKS[index], ChunkAnswer(sparse(image(index)), CHUNKS[index].frame_count))


class SumAlone(Sinks):
    """An accumulator as the only sink."""

    def __init__(self, canvas: Canvas | None = None) -> None:
        self.accumulator = Accumulator(40, 30, zoom=ZOOM, canvas=canvas)
        super().__init__(self.accumulator)


class FrameList:
    """Keeps the first frame of each chunk, in the order in which they came."""

    name = "frames.json"

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.refuses = False
        self.breaks = False

    def check(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        if self.refuses:
            raise InferenceError(f"chunk {chunk.index} of {answer.frame_count} frames is refused")

    def add(self, chunk: Chunk, answer: ChunkAnswer) -> None:
        if self.breaks:
            raise KeyboardInterrupt
        self.frames += [chunk.first_frame] * (answer.frame_count == chunk.frame_count)

    def write_to(self, file: IO[bytes]) -> None:
        file.write(json.dumps(self.frames).encode())

    def read_from(self, file: IO[bytes]) -> None:
        self.frames = json.loads(file.read())

    def write_part_to(self, file: IO[bytes]) -> None:
        self.write_to(file)

    def add_from(self, file: IO[bytes]) -> None:
        self.frames += json.loads(file.read())


class SumAndList(Sinks):
    """An accumulator, and a second sink."""

    def __init__(self) -> None:
        self.accumulator, self.list = Accumulator(40, 30, zoom=ZOOM), FrameList()
        super().__init__(self.accumulator, self.list)


def sum_of(*indices: int, canvas: Canvas | None = None) -> SumAlone:
    sinks = SumAlone(canvas)
    add(sinks, *indices)
    return sinks


class CheckpointedRun:
    """A checkpoint with its notes and warnings."""

    def __init__(self, path: Path, *, resume: bool = False, every_s: float = 1e6) -> None:
        events = RecordedEvents()
        self.said = events.texts
        self.checkpoint = FileCheckpoint(path, resume=resume, every_s=every_s, events=events)

    def begin(self, sinks: Sinks, identity: RunIdentity = IDENTITY) -> None:
        self.checkpoint.begin(sinks, identity, unchanged)


def interrupt(run: CheckpointedRun, sinks: Sinks) -> None:
    """Begin a run and interrupt it."""
    with run.checkpoint:
        run.begin(sinks)
        raise KeyboardInterrupt


def interrupted(path: Path, *indices: int) -> None:
    """Leave what a run that was interrupted leaves."""
    with pytest.raises(KeyboardInterrupt):
        interrupt(CheckpointedRun(path), sum_of(*indices))


def resumed(path: Path, identity: RunIdentity = IDENTITY) -> SumAlone:
    sinks = SumAlone()
    CheckpointedRun(path, resume=True).begin(sinks, identity)
    return sinks


def sums(sinks: SumAlone | SumAndList) -> NDArray[np.int64]:
    return sinks.accumulator.canvas.rows(0, SHAPE[0])
