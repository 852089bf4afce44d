"""Prepare plans for all networks of a repository: all get one that passed the gate, or none does.

Read this first: ``_Preparation.run`` prepares the plan of one network from one file.

TensorRT computes in the types of the file: version 11 has no flags for a precision, and version
10 is asked to keep to the types as well. FP16 therefore needs a file of its own beside the
network, which is made where the network is exported, with its scores; a server's image has
nothing that could make it. Both plans of a network are compared with its answers in FP32.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.compute.reference import Reference, read_reference
from smlm_pipeline.deploy.plans import gate
from smlm_pipeline.deploy.plans.cache import Entry, PlanCache, Record
from smlm_pipeline.deploy.plans.compiler import Compiler, Executor
from smlm_pipeline.deploy.plans.key import Choices, PlanKey, sha256
from smlm_pipeline.deploy.plans.placing import nothing_left_by_failure, put, withdraw
from smlm_pipeline.deploy.plans.profiles import Profile, profiles
from smlm_pipeline.errors import ContractError, GpuMemoryError, PlanError, SettingError
from smlm_pipeline.model_repository import HALF_FILE, network_file, network_sha256


@dataclass(frozen=True)
class Prepared:
    """A network whose plan is in place; ``from_cache`` if it was built before."""

    model: str
    version: str
    record: Record
    difference: float
    from_cache: bool


def prepare(
    model_repository: Path,
    cache_folder: Path,
    open_compiler: Callable[[], Compiler],
    *,
    precision: str | None,
    choices: Choices,
    largest_tile_px: int,
    note: Callable[[str], None],
) -> list[Prepared]:
    """Put a plan beside the newest version of every network.

    Options are checked first, and if they are wrong nothing changes. After that any
    failure, also a missing compiler, withdraws the plans of all networks in all
    versions: a server may load only plans that passed the gate.

    Parameters
    ----------
    model_repository : Path
        With ``model.onnx`` and ``reference.npz`` in each network's newest version.
    cache_folder : Path
        Cache of plans between starts.
    open_compiler : callable
        Returns TensorRT on the GPU that will serve, or raises.
    precision : str, optional
        "fp16" or "fp32"; by default FP16 for each network that has ``model.fp16.onnx`` and
        whose plan of it passes the gate, FP32 for the others.
    choices : Choices
        Options of the build.
    largest_tile_px : int
        Largest tile that will be served, see ``profiles``.
    note : callable
        Takes a line about the progress.

    Raises
    ------
    SettingError
        If the repository has no network, or a network's folder has none.
    ContractError
        If a network lacks its reference or the precision, or does not fit this release.
    PlanError
        If a plan cannot be built, or its answers differ from its network's.
    OutputError
        If the repository or the cache cannot be written to.
    """
    wanted = {name: profiles(name, largest_tile_px=largest_tile_px) for name in contract.NETWORKS}
    names = _networks(model_repository)
    with nothing_left_by_failure(model_repository, names):
        files = {name: network_file(model_repository, name) for name in names}
        bench = _Bench(open_compiler(), PlanCache(cache_folder, note), choices, note)
        return [
            bench.prepared(name, file, wanted[name], precision=precision)
            for name, file in files.items()
        ]


@dataclass(frozen=True)
class _Source:
    """A file that a network's plan can be compiled from, and the precision inside."""

    file: Path
    precision: str


def _sources(file: Path, reference: Reference, precision: str | None) -> list[_Source]:
    """List the files of a network in this precision, or in the order of preference."""
    half = file.with_name(HALF_FILE)
    sources = [_Source(half, "fp16")] if half.exists() else []
    sources.append(_Source(file, reference.precision))
    chosen = [source for source in sources if precision in (None, source.precision)]
    if not chosen:
        raise ContractError(
            f"{file.parent} holds no network in {str(precision).upper()}; expected "
            f"{' or '.join(source.precision.upper() for source in sources)}: set RECON_PRECISION, "
            "or make one in FP16 with 'recon-train halve'"
        )
    return chosen


def _networks(model_repository: Path) -> list[str]:
    """List the models of a repository that are networks."""
    names = [
        name for name in contract.NETWORKS if (model_repository / name / "config.pbtxt").exists()
    ]
    if not names:
        raise SettingError(
            f"{model_repository} has none of the networks {', '.join(contract.NETWORKS)}; "
            "expected a model repository of this project"
        )
    return names


@dataclass(frozen=True)
class _Bench:
    """What the plans of all networks are prepared with."""

    compiler: Compiler
    cache: PlanCache
    choices: Choices
    note: Callable[[str], None]

    def prepared(
        self, model: str, file: Path, wanted: tuple[Profile, ...], *, precision: str | None
    ) -> Prepared:
        """Prepare the first plan of a network that can be built and passes the gate.

        One that only lacks memory is not replaced by one in FP32, which needs more.
        """
        reference = read_reference(file, contract.NETWORKS[model])
        first, *others = (
            _Preparation(self, model, source.file, reference, self._key(source, wanted))
            for source in _sources(file, reference, precision)
        )
        try:
            return first.run()
        except GpuMemoryError:
            raise
        except PlanError as error:
            if not others:
                raise
            self.note(
                f"{error}; {model} is served in FP32 instead: set RECON_PRECISION=f32 to save this "
                "attempt at the next start"
            )
        return others[0].run()

    def _key(self, source: _Source, wanted: tuple[Profile, ...]) -> PlanKey:
        return PlanKey(
            network_sha256(source.file),
            source.precision,
            self.compiler.version,
            self.compiler.gpu,
            self.choices,
            wanted,
        )


@dataclass(frozen=True)
class _Preparation:
    """The preparation of one network's plan from one of its files."""

    bench: _Bench
    model: str
    file: Path
    reference: Reference
    key: PlanKey

    def run(self) -> Prepared:
        """Find the plan in the cache or build it, and put it in place."""
        version = self.file.parent
        with self.bench.cache.locked(self.key):
            kept = self.bench.cache.find(self.key)
            withdraw(version, right=kept)
            difference = None if kept is None else self._passing(kept)
            if kept is None or difference is None:
                self.bench.note(
                    f"building the plan of {self.model} in {self.key.precision.upper()} for "
                    f"{self.key.gpu.name}: minutes"
                )
                entry = self._built()
                difference = entry.record.largest_difference
            else:
                entry = kept
            put(version, entry)
        return Prepared(self.model, version.name, entry.record, difference, entry is kept)

    def _passing(self, kept: Entry) -> float | None:
        """Judge a kept plan again, since the driver may have changed; None if it fails now.

        A GPU that lacks memory says nothing about the plan, which stays in the cache.
        """
        try:
            difference, _ = self._judged(kept.plan)
        except GpuMemoryError:
            raise
        except PlanError as error:
            self.bench.note(
                f"the plan of {self.model} that was kept can no longer be used: {error}"
            )
            self.bench.cache.drop(self.key)
            withdraw(self.file.parent, right=None)  # it may be there too
            return None
        return difference

    def _built(self) -> Entry:
        """Build the plan, judge it, and keep it in the cache."""
        begin_s = time.monotonic()
        compiled = self.bench.compiler.compile(
            self.file.read_bytes(),
            self.key.profiles,
            self.key.choices,
            self.bench.cache.timing_cache(self.key),
        )
        build_s = time.monotonic() - begin_s
        if compiled.timing_cache:
            self.bench.cache.keep_timing_cache(self.key, compiled.timing_cache)
        difference, executor = self._judged(compiled.plan)
        record = Record(
            model=self.model,
            key=self.key.as_dict(),
            plan_sha256=sha256(compiled.plan),
            plan_bytes=len(compiled.plan),
            build_s=round(build_s, 1),
            activation_bytes=executor.activation_bytes,
            largest_difference=difference,
            tolerance=self._allowed,
            made_by=f"smlm-recon {smlm_pipeline.__version__}",
        )
        entry = Entry(compiled.plan, record)
        self.bench.cache.store(self.key, entry)
        return entry

    def _judged(self, plan: bytes) -> tuple[float, Executor]:
        """Return the difference of a plan from its network, if allowed, and the loaded plan."""
        executor = self.bench.compiler.load(plan)
        difference = gate.largest_difference(executor, self.reference, self.key.profiles)
        gate.check(difference, self._allowed, model=self.model)
        return difference, executor

    @property
    def _allowed(self) -> float:
        return gate.tolerance(self.key.precision, tf32=self.key.choices.tf32)
