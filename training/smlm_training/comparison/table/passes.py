"""A method over the whole film, several times; what is done is kept, and gone on with."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_training.comparison.methods.found import Method
from smlm_training.comparison.table.film import ComparedFilm
from smlm_training.scoring.molecules import Molecules

_SAVED_EVERY_S = 15.0
"""Between two saved states of a method; one that is faster than that begins again."""


@dataclass(frozen=True)
class Timing:
    """How often a film is passed over: ``repeats`` times, unless that takes ``limit_s``."""

    repeats: int
    limit_s: float


@dataclass(frozen=True)
class Result:
    """What a method made of the film.

    ``image`` is (``ZOOM`` Y, ``ZOOM`` X) float64; ``ms_per_frame`` has one value a pass.
    """

    name: str
    parameters: dict[str, Any]
    image: NDArray[np.float64]
    molecules: Molecules | None
    ms_per_frame: tuple[float, ...]


@dataclass
class _State:
    """A first pass under way."""

    frames: int
    seconds: float
    image: NDArray[np.float64]
    molecules: list[Molecules]
    localises: bool


def pass_over(
    name: str,
    method: Method,
    film: ComparedFilm,
    folder: Path,
    timing: Timing,
    tell: Callable[[int, float], None],
) -> Result:
    """The method's result on the film, from ``folder`` if it lies there.

    Only the method itself is timed: the film lies in memory. A network runs on one
    block before, untimed, for what its runtime prepares in the first run.

    Parameters
    ----------
    name : str
        The method's, which files are called by.
    method : Method
        Opened on this film.
    film : ComparedFilm
        The film.
    folder : Path
        Where results lie; a first pass that was interrupted goes on.
    timing : Timing
        How many passes.
    tell : callable
        Given the frames done in the first pass and the seconds that the rest will take.
    """
    key = _key(name, method, film)
    done = _read(folder / f"{name}.npz", key, name, method)
    if done is not None:
        return done
    if "@" in name:
        method.reconstruct(film.frames_adu[: method.block_frames])
    state = _first_pass(name, method, film, folder, key, tell)
    times_s = [state.seconds]
    while len(times_s) < timing.repeats and sum(times_s) + times_s[0] <= timing.limit_s:
        times_s.append(_timed_pass(method, film.frames_adu))
    result = Result(
        name,
        method.parameters,
        np.maximum(state.image, 0),
        _joined(state.molecules) if state.localises else None,
        tuple(1e3 * seconds / len(film.frames_adu) for seconds in times_s),
    )
    _write(folder / f"{name}.npz", key, result)
    _partial(folder, name).unlink(missing_ok=True)
    return result


def _first_pass(
    name: str,
    method: Method,
    film: ComparedFilm,
    folder: Path,
    key: str,
    tell: Callable[[int, float], None],
) -> _State:
    count = len(film.frames_adu)
    state = _resumed(_partial(folder, name), key) or _State(
        0, 0.0, np.zeros(film.fine_shape), [], localises=True
    )
    saved = time.perf_counter()
    while state.frames < count:
        block = film.frames_adu[state.frames : state.frames + method.block_frames]
        started = time.perf_counter()
        found = method.reconstruct(block)
        state.seconds += time.perf_counter() - started
        state.image += found.image
        if found.molecules is None:
            state.localises = False
        else:
            state.molecules.append(_later(found.molecules, state.frames))
        state.frames += len(block)
        tell(state.frames, state.seconds / state.frames * (count - state.frames))
        if time.perf_counter() - saved > _SAVED_EVERY_S and state.frames < count:
            _save(_partial(folder, name), key, state)
            saved = time.perf_counter()
    return state


def _timed_pass(method: Method, frames_adu: NDArray[np.uint16]) -> float:
    started = time.perf_counter()
    for first in range(0, len(frames_adu), method.block_frames):
        method.reconstruct(frames_adu[first : first + method.block_frames])
    return time.perf_counter() - started


def _key(name: str, method: Method, film: ComparedFilm) -> str:
    """What a result depends on: the same key means that it need not be made again."""
    facts = {each.name: str(getattr(film.facts, each.name)) for each in fields(film.facts)}
    told = [name, method.parameters, method.block_frames, film.sha256, facts]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _later(molecules: Molecules, frames: int) -> Molecules:
    return Molecules(molecules.frame + frames, molecules.y_nm, molecules.x_nm)


def _joined(tables: list[Molecules]) -> Molecules:
    columns = (
        np.concatenate([getattr(table, column.name) for table in tables])
        for column in fields(Molecules)
    )
    return Molecules(*columns)


def _partial(folder: Path, name: str) -> Path:
    return folder / f"{name}.partial.npz"


def _arrays(image: NDArray[np.float64], molecules: Molecules | None) -> dict[str, NDArray[Any]]:
    if molecules is None:
        return {"image": image}
    return {
        "image": image,
        **{each.name: getattr(molecules, each.name) for each in fields(molecules)},
    }


def _molecules(stored: Any) -> Molecules | None:
    if "y_nm" not in stored:
        return None
    return Molecules(stored["frame"], stored["y_nm"], stored["x_nm"])


def _write(path: Path, key: str, result: Result) -> None:
    _replace(
        path,
        {
            **_arrays(result.image, result.molecules),
            "key": np.array(key),
            "ms_per_frame": np.array(result.ms_per_frame),
        },
    )


def _read(path: Path, key: str, name: str, method: Method) -> Result | None:
    if not path.exists():
        return None
    with np.load(path) as stored:
        if str(stored["key"]) != key:
            return None
        times = tuple(stored["ms_per_frame"].tolist())
        return Result(name, method.parameters, stored["image"], _molecules(stored), times)


def _save(path: Path, key: str, state: _State) -> None:
    molecules = _joined(state.molecules) if state.localises else None
    progress = {"frames": np.array(state.frames), "seconds": np.array(state.seconds)}
    _replace(path, {**_arrays(state.image, molecules), "key": np.array(key), **progress})


def _resumed(path: Path, key: str) -> _State | None:
    if not path.exists():
        return None
    with np.load(path) as stored:
        if str(stored["key"]) != key:
            return None
        molecules = _molecules(stored)
        kept = [] if molecules is None else [molecules]
        frames, seconds = int(stored["frames"]), float(stored["seconds"])
        return _State(frames, seconds, stored["image"], kept, localises=molecules is not None)


def _replace(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    beside.replace(path)
