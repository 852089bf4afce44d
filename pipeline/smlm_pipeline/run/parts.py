"""Parts of one run, made apart and merged: whether they belong together, and their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from smlm_pipeline.compute.network import NetworkEngine
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import CheckpointError, InferenceError
from smlm_pipeline.run.checkpoint import indices_of, ranges_of
from smlm_pipeline.run.identity import RunIdentity
from smlm_pipeline.run.missing import Missing
from smlm_pipeline.run.partial_file import add_part, damaged, read_part_facts
from smlm_pipeline.run.sinks import Sinks

_PER_PART = {"requests", "first_request"}
"""Fields of an identity that differ between parts."""

_INDICES = ("merged", "missing")
"""Facts of a part that are indices of chunks."""


@dataclass(frozen=True)
class Part:
    """A part of a run, as its file states it.

    ``frames`` are those asked for, of ``frame_count`` of the film, and ``indices`` those of the
    chunks that begin in them. ``missing`` are those that failed for good, ``reason`` why.
    ``asked`` has the options that every part must share, by their names, and ``job`` what else is
    needed to write the result. ``failures``, ``swapped_answers``, ``elapsed_s`` and ``frames_done``
    are those of `Reconstruction`.
    """

    path: Path
    identity: RunIdentity
    frames: range
    frame_count: int
    missing: frozenset[int]
    reason: str
    engine: Mapping[str, Any]
    asked: Mapping[str, Any]
    job: Mapping[str, Any]
    failures: int
    swapped_answers: int
    elapsed_s: float
    frames_done: float

    @property
    def indices(self) -> set[int]:
        """Indices of the chunks that are summed in it."""
        return set(self.identity.indices) - self.missing

    @classmethod
    def read(cls, path: Path) -> Part:
        """Read the facts of a part.

        Raises
        ------
        CheckpointError
            If it is damaged or of another release.
        """
        facts = read_part_facts(path)
        try:
            identity = RunIdentity(**facts.pop("identity"))
            frames = range(*facts.pop("frames"))
            whole = identity.indices
            merged, missing = (indices_of(facts.pop(each), whole, path) for each in _INDICES)
            if sorted([*merged, *missing]) != [*whole]:
                raise ValueError("not all chunks are accounted for")
            del facts["format"]
            return cls(path, identity, frames, missing=frozenset(missing), **facts)
        except (TypeError, KeyError, ValueError, CheckpointError) as error:
            raise damaged(path) from error


def part_facts(missing: Missing, engine: Engine) -> dict[str, Any]:
    """The facts of a part that come from its run, for JSON."""
    return {
        "missing": ranges_of(chunk.index for chunk in missing.chunks),
        "reason": str(missing.reason or ""),
        "engine": {
            "description": engine.description,
            "model_version": engine.model_version,
            "network_sha256": engine.network_sha256,
            "network_engine": asdict(engine.network_engine),
            "class_borders_px": [
                [count, *borders] for count, borders in engine.class_borders_px.items()
            ],
            "trained_ranges": {name: list(each) for name, each in engine.trained_ranges.items()},
            "notes": list(engine.notes),
        },
    }


def check_parts(parts: Sequence[Part]) -> None:
    """Refuse parts that are not all parts of one run, each frame in one of them.

    Parameters
    ----------
    parts : sequence of Part
        In ascending order of their frames.

    Raises
    ------
    CheckpointError
        If two differ in film, network, release or an option, share frames, or frames are in none.
    """
    first = next((part for part in parts if part.identity.network_sha256), parts[0])
    for part in parts:
        for name, before, now in _differences(first, part):
            raise CheckpointError(
                f"{part.path} and {first.path} are parts of different runs: {name} is "
                f"{_stated(now)} and {_stated(before)}; expected parts that differ in --frames and "
                "--partial alone: submit one of them again"
            )
    end, before_path = 0, parts[0].path
    for part in parts:
        if part.frames.start > end:
            raise _gap(end, part.frames.start)
        if part.frames.start < end:
            raise CheckpointError(
                f"{part.path} and {before_path} share frames {part.frames.start:,} to "
                f"{min(end, part.frames.stop) - 1:,}; expected each frame in one part: leave one "
                "of them out"
            )
        end, before_path = part.frames.stop, part.path
    if end < first.frame_count:
        raise _gap(end, first.frame_count)


def _gap(first: int, last: int) -> CheckpointError:
    return CheckpointError(
        f"frames {first:,} to {last - 1:,} are in no part; expected parts of the whole film: "
        f"submit --frames {first}:{last} too, or name its file"
    )


def _stated(value: Any) -> Any:
    return "not stated" if value is None or value == "" else value


def _differences(first: Part, part: Part) -> Iterator[tuple[str, Any, Any]]:
    """Name and values of what must be equal in two parts of one run, and is not."""
    for name, before, now in part.identity.differences(first.identity.as_dict()):
        if name == "film_sha256":
            yield "the film", before[:12], now[:12]
        elif name not in _PER_PART:
            yield name.replace("_", " "), before, now
    for name in {**first.asked, **part.asked}:
        if first.asked.get(name) != part.asked.get(name):
            yield name.replace("_", "-"), first.asked.get(name), part.asked.get(name)
    if first.frame_count != part.frame_count:
        yield "frames of the film", first.frame_count, part.frame_count


def engine_of(parts: Sequence[Part]) -> Engine:
    """The engine that made the parts, which answers no further request."""
    facts = [part.engine for part in parts]
    try:
        engines = [NetworkEngine(**each["network_engine"]) for each in facts]
        borders_px = {
            int(count): tuple(map(float, borders))
            for count, *borders in facts[0]["class_borders_px"]
        }
        ranges = {name: (low, high) for name, (low, high) in facts[0]["trained_ranges"].items()}
        return Engine(
            _NoAnswer(parts),
            _joined(each["description"] for each in facts),
            facts[0]["model_version"],
            notes=tuple(dict.fromkeys(note for each in facts for note in each["notes"])),
            network_sha256=next((each for each in _hashes(facts) if each), ""),
            network_engine=replace(
                engines[0], processor=_joined(each.processor for each in engines)
            ),
            class_borders_px=borders_px,
            trained_ranges=ranges,
        )
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(parts[0].path) from error


def _hashes(facts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return (each["network_sha256"] for each in facts)


def _joined(texts: Iterator[str]) -> str:
    """The text, or the first one and the number of others."""
    unlike = list(dict.fromkeys(texts))
    others = len(unlike) - 1
    return f"{unlike[0]} and {others} other{'s' * (others > 1)}" if others else unlike[0]


class _NoAnswer:
    """Refuses the chunks that the parts lack."""

    def __init__(self, parts: Sequence[Part]) -> None:
        reasons = (f"{part.path.name} lacks it: {part.reason}" for part in parts if part.missing)
        self._reason = next(reasons, "the parts lack it")

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        raise InferenceError(f"{request.label}: {self._reason}")


class PartialSums:
    """A `Checkpoint` from which a run continues that has all its parts: it restores their sum.

    Parameters
    ----------
    parts : sequence of Part
        All parts of the run.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def spread(
        self,
        look: Callable[[], float | None],  # noqa: ARG002 - no engine is asked
    ) -> float | None:
        """The spread of brightness of the parts, which is the same in all of them."""
        return self._parts[0].identity.brightness_spread

    def begin(
        self,
        sinks: Sinks,
        identity: RunIdentity,
        check_network: Callable[[], None],  # noqa: ARG002 - no server is asked
    ) -> None:
        """Add up the parts.

        Raises
        ------
        CheckpointError
            If the film is another one, or a part is damaged.
        """
        for name, kept, now in identity.differences(self._parts[0].identity.as_dict()):
            if name == "film_sha256":
                raise CheckpointError(
                    f"{self._parts[0].path} is a part of another film, or the film has changed; "
                    "expected the film of the parts: name it with --film"
                )
            if name not in _PER_PART:
                raise CheckpointError(
                    f"{self._parts[0].path} was made with {name.replace('_', ' ')} {kept}, merging "
                    f"has {now}; expected the same: merge with the release that made it"
                )
        for part in self._parts:
            add_part(part.path, sinks.by_name)
        sinks.restore(index for part in self._parts for index in part.indices)

    def keep(self) -> None:
        """Write nothing: the parts stay."""
