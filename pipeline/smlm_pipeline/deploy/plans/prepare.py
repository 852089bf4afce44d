"""Prepare plans for all networks of a repository: all get one that passed the gate, or none does.

Read this first: ``_Preparation.run`` prepares the plan of one network.
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
from smlm_pipeline.errors import PlanError, SettingError
from smlm_pipeline.model_repository import network_file


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
        If a network lacks its reference, or does not fit this release.
    PlanError
        If a plan cannot be built, or its answers differ from its network's.
    OutputError
        If the repository or the cache cannot be written to.
    """
    wanted = {name: profiles(name, largest_tile_px=largest_tile_px) for name in contract.NETWORKS}
    names = _networks(model_repository)
    with nothing_left_by_failure(model_repository, names):
        files = {name: network_file(model_repository, name) for name in names}
        compiler, cache = open_compiler(), PlanCache(cache_folder, note)
        prepared = []
        for name, file in files.items():
            reference = read_reference(file, contract.NETWORKS[name])
            key = _key(reference, compiler, choices, wanted[name])
            prepared.append(_Preparation(name, file, reference, key, cache, compiler, note).run())
        return prepared


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


def _key(
    reference: Reference, compiler: Compiler, choices: Choices, wanted: tuple[Profile, ...]
) -> PlanKey:
    return PlanKey(
        reference.network_sha256,
        reference.precision,
        compiler.version,
        compiler.compute_capability,
        choices,
        wanted,
    )


@dataclass(frozen=True)
class _Preparation:
    """The preparation of one network's plan."""

    model: str
    file: Path
    reference: Reference
    key: PlanKey
    cache: PlanCache
    compiler: Compiler
    note: Callable[[str], None]

    def run(self) -> Prepared:
        """Find the plan in the cache or build it, and put it in place."""
        version = self.file.parent
        with self.cache.locked(self.key):
            kept = self.cache.find(self.key)
            withdraw(version, right=kept)
            difference = None if kept is None else self._passing(kept)
            if kept is None or difference is None:
                self.note(f"building the plan of {self.model} for {self.compiler.gpu}: minutes")
                entry = self._built()
                difference = entry.record.largest_difference
            else:
                entry = kept
            put(version, entry)
        return Prepared(self.model, version.name, entry.record, difference, entry is kept)

    def _passing(self, kept: Entry) -> float | None:
        """Judge a kept plan again, since the driver may have changed; None if it fails now."""
        try:
            difference, _ = self._judged(kept.plan)
        except PlanError as error:
            self.note(f"the plan of {self.model} that was kept can no longer be used: {error}")
            self.cache.drop(self.key)
            withdraw(self.file.parent, right=None)  # it may be there too
            return None
        return difference

    def _built(self) -> Entry:
        """Build the plan, judge it, and keep it in the cache."""
        begin_s = time.monotonic()
        compiled = self.compiler.compile(
            self.file.read_bytes(),
            self.key.profiles,
            self.key.choices,
            self.cache.timing_cache(self.key),
        )
        build_s = time.monotonic() - begin_s
        if compiled.timing_cache:
            self.cache.keep_timing_cache(self.key, compiled.timing_cache)
        difference, executor = self._judged(compiled.plan)
        record = Record(
            model=self.model,
            key=self.key.as_dict(),
            plan_sha256=sha256(compiled.plan),
            plan_bytes=len(compiled.plan),
            gpu=self.compiler.gpu,
            build_s=round(build_s, 1),
            activation_bytes=executor.activation_bytes,
            largest_difference=difference,
            tolerance=self._allowed,
            made_by=f"smlm-recon {smlm_pipeline.__version__}",
        )
        entry = Entry(compiled.plan, record)
        self.cache.store(self.key, entry)
        return entry

    def _judged(self, plan: bytes) -> tuple[float, Executor]:
        """Return the difference of a plan from its network, if allowed, and the loaded plan."""
        executor = self.compiler.load(plan)
        difference = gate.largest_difference(executor, self.reference, self.key.profiles)
        gate.check(difference, self._allowed, model=self.model)
        return difference, executor

    @property
    def _allowed(self) -> float:
        return gate.tolerance(self.key.precision, tf32=self.key.choices.tf32)
