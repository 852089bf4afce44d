"""Passes of a method over the whole film, kept so that an interrupted one continues."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_bench.machine import machine
from smlm_bench.method import Method
from smlm_bench.table.film import ComparedFilm
from smlm_bench.table.results import Arrays, KeptFile, kept_files
from smlm_pipeline.localise.table import Molecules, stacked

_SAVED_EVERY_S = 15.0
"""Between two saved states of a method, which is saved when it is interrupted as well."""


@dataclass(frozen=True)
class Timing:
    """How often a film is passed over: ``repeats`` times, unless that takes ``limit_s``."""

    repeats: int
    limit_s: float


@dataclass(frozen=True)
class Sitting:
    """Where and when a result was timed.

    ``machine`` is in words, two with a semicolon if a pass went on on another one;
    ``dates`` has one of UTC a pass. Of an earlier call are the image, if ``image_kept``,
    and the first ``kept_passes`` times.
    """

    machine: str = ""
    dates: tuple[str, ...] = ()
    kept_passes: int = 0
    image_kept: bool = False


@dataclass(frozen=True)
class Result:
    """Result of a method on the film.

    ``image`` is (``ZOOM`` Y, ``ZOOM`` X) float64; ``ms_per_frame`` has one value a pass;
    ``remark`` is what the method says of the first one.
    """

    name: str
    parameters: dict[str, Any]
    image: NDArray[np.float64]
    molecules: Molecules | None
    ms_per_frame: tuple[float, ...]
    sitting: Sitting = Sitting()
    remark: str = ""


@dataclass(frozen=True)
class Keeping:
    """Folder of kept results, if any, and a receiver of notes about it."""

    folder: Path | None
    note: Callable[[str], None]


@dataclass(frozen=True)
class _State:
    """A first pass under way; a new one for each block, so that none is half-finished."""

    frames: int
    seconds: float
    image: NDArray[np.float64]
    molecules: list[Molecules] = field(default_factory=list)
    localises: bool = True
    machine: str = ""
    remark: str = ""


def pass_over(
    name: str,
    method: Method,
    film: ComparedFilm,
    keeping: Keeping,
    timing: Timing,
    tell: Callable[[int, float], None],
) -> Result:
    """The method's result on the film, kept or new, with as many passes as are asked for.

    Only the method itself is timed: the film is in memory. A network runs on one
    block before, untimed, for what its runtime prepares in the first run. An image that
    was made on another machine is kept; its times are not, unless one pass takes longer
    than the limit.

    Parameters
    ----------
    name : str
        The method's, which files are called by.
    method : Method
        Opened on this film.
    film : ComparedFilm
        The film.
    keeping : Keeping
        Folder of results; an interrupted first pass continues.
    timing : Timing
        How many passes.
    tell : callable
        Receives the frames finished in the first pass and the seconds left.
    """
    whole, partial = None, None
    if keeping.folder is not None:
        whole, partial = kept_files(keeping.folder, name, _key(name, method, film), keeping.note)
    result = _read(whole, name, method) if whole is not None else None
    prepared = "@" not in name
    if result is None:
        _prepare(method, film, prepared)
        prepared = True
        result = _first_result(name, method, film, partial, tell)
        _keep(result, whole)
        if partial is not None:
            partial.remove()
    result = _of_this_machine(result, film, timing)
    if result.sitting.machine != machine():
        keeping.note(
            f"{name} keeps its times of {result.sitting.machine}: a pass takes longer than "
            f"{timing.limit_s:g} s, the limit for passes"
        )
    while _another_pass(result, film, timing):
        _prepare(method, film, prepared)
        prepared = True
        result = _with_pass(result, _timed_pass(method, film.frames_adu), film)
        _keep(result, whole)
    return result


def _prepare(method: Method, film: ComparedFilm, prepared: bool) -> None:
    """One block of each length: what a network does once for every shape is not its speed."""
    if prepared:
        return
    count, block = len(film.frames_adu), method.block_frames
    method.reconstruct(film.frames_adu[:block])
    if count > block and (shorter := count % block):
        method.reconstruct(film.frames_adu[-shorter:])


def _first_result(
    name: str,
    method: Method,
    film: ComparedFilm,
    partial: KeptFile | None,
    tell: Callable[[int, float], None],
) -> Result:
    state = _first_pass(method, film, partial, tell)
    return Result(
        name,
        method.parameters,
        np.maximum(state.image, 0),
        stacked(state.molecules) if state.localises else None,
        (1e3 * state.seconds / len(film.frames_adu),),
        Sitting(state.machine, (_now(),)),
        state.remark,
    )


def _first_pass(
    method: Method,
    film: ComparedFilm,
    partial: KeptFile | None,
    tell: Callable[[int, float], None],
) -> _State:
    count = len(film.frames_adu)
    state = _begun(film, partial)
    saved, saved_at = state.frames, time.perf_counter()
    try:
        while state.frames < count:
            state = _next_block(method, film, state)
            tell(state.frames, state.seconds / state.frames * (count - state.frames))
            if time.perf_counter() - saved_at > _SAVED_EVERY_S and state.frames < count:
                _save(partial, state)
                saved, saved_at = state.frames, time.perf_counter()
    finally:
        if saved < state.frames < count:
            _save(partial, state)
    return state


def _next_block(method: Method, film: ComparedFilm, state: _State) -> _State:
    block = film.frames_adu[state.frames : state.frames + method.block_frames]
    started = time.perf_counter()
    result = method.reconstruct(block)
    seconds = time.perf_counter() - started
    later = [] if result.molecules is None else [result.molecules.later(state.frames)]
    return replace(
        state,
        frames=state.frames + len(block),
        seconds=state.seconds + seconds,
        image=state.image + result.image,
        molecules=state.molecules + later,
        localises=result.molecules is not None,
        remark=result.remark,
    )


def _of_this_machine(result: Result, film: ComparedFilm, timing: Timing) -> Result:
    """Drop times of another machine or other versions, if a new pass is short."""
    first_s = result.ms_per_frame[0] * len(film.frames_adu) / 1e3
    if result.sitting.machine == machine() or first_s > timing.limit_s:
        return result
    sitting = Sitting(machine(), image_kept=result.sitting.image_kept)
    return replace(result, ms_per_frame=(), sitting=sitting)


def _another_pass(result: Result, film: ComparedFilm, timing: Timing) -> bool:
    if not result.ms_per_frame:
        return True
    seconds = [ms * len(film.frames_adu) / 1e3 for ms in result.ms_per_frame]
    return len(seconds) < timing.repeats and sum(seconds) + seconds[0] <= timing.limit_s


def _timed_pass(method: Method, frames_adu: NDArray[np.uint16]) -> float:
    started = time.perf_counter()
    for first in range(0, len(frames_adu), method.block_frames):
        method.reconstruct(frames_adu[first : first + method.block_frames])
    return time.perf_counter() - started


def _with_pass(result: Result, seconds: float, film: ComparedFilm) -> Result:
    dates = (*result.sitting.dates, _now())
    return replace(
        result,
        ms_per_frame=(*result.ms_per_frame, 1e3 * seconds / len(film.frames_adu)),
        sitting=replace(result.sitting, dates=dates),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _key(name: str, method: Method, film: ComparedFilm) -> str:
    """Hash everything that a result depends on."""
    facts = {each.name: str(getattr(film.facts, each.name)) for each in fields(film.facts)}
    dependencies = [name, method.parameters, method.block_frames, film.frames_sha256, facts]
    return hashlib.sha256(json.dumps(dependencies, sort_keys=True).encode()).hexdigest()


def _arrays(image: NDArray[np.float64], molecules: Molecules | None) -> Arrays:
    if molecules is None:
        return {"image": image}
    return {
        "image": image,
        **{each.name: getattr(molecules, each.name) for each in fields(molecules)},
    }


def _molecules(stored: Arrays) -> Molecules | None:
    if "y_nm" not in stored:
        return None
    return Molecules(stored["frame"], stored["y_nm"], stored["x_nm"])


def _keep(result: Result, whole: KeptFile | None) -> None:
    if whole is not None:
        whole.write(
            {
                **_arrays(result.image, result.molecules),
                "ms_per_frame": np.array(result.ms_per_frame),
                "machine": np.array(result.sitting.machine),
                "dates": np.array(result.sitting.dates),
                "remark": np.array(result.remark),
            }
        )


def _read(whole: KeptFile, name: str, method: Method) -> Result | None:
    stored = whole.read()
    if stored is None:
        return None
    times = tuple(stored["ms_per_frame"].tolist())
    sitting = Sitting(
        str(stored["machine"]), tuple(stored["dates"].tolist()), len(times), image_kept=True
    )
    remark = str(stored.get("remark", ""))
    molecules = _molecules(stored)
    return Result(name, method.parameters, stored["image"], molecules, times, sitting, remark)


def _save(partial: KeptFile | None, state: _State) -> None:
    if partial is not None:
        molecules = stacked(state.molecules) if state.localises else None
        progress = {name: np.array(getattr(state, name)) for name in _PROGRESS}
        partial.write({**_arrays(state.image, molecules), **progress})


_PROGRESS = ("frames", "seconds", "machine")


def _begun(film: ComparedFilm, partial: KeptFile | None) -> _State:
    """Restore an interrupted pass, or begin."""
    stored = partial.read() if partial is not None else None
    if stored is None:
        return _State(0, 0.0, np.zeros(film.fine_shape), machine=machine())
    molecules = _molecules(stored)
    machines = dict.fromkeys([*str(stored["machine"]).split("; "), machine()])
    return _State(
        int(stored["frames"]),
        float(stored["seconds"]),
        stored["image"],
        [] if molecules is None else [molecules],
        localises=molecules is not None,
        machine="; ".join(machines),
    )
