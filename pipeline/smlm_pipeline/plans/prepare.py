"""Every network of a repository gets a plan that fits this GPU and passed the gate, or none does.

Read this first: the path of one network is ``_prepared``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.plans import gate
from smlm_pipeline.plans.cache import PLAN_FILE, Entry, PlanCache, replace_file
from smlm_pipeline.plans.compiler import Compiler
from smlm_pipeline.plans.key import Choices, PlanKey
from smlm_pipeline.plans.profiles import networks, profiles
from smlm_pipeline.plans.reference import Reference, read_reference
from smlm_pipeline.plans.sidecar import SIDECAR_FILE, Record, sha256
from smlm_pipeline.repository import network_file


@dataclass(frozen=True)
class Prepared:
    """A network whose plan is in place; ``from_cache`` tells whether it was built before."""

    model: str
    version: str
    record: Record
    difference: float
    from_cache: bool


def prepare(
    model_repository: Path,
    cache: PlanCache,
    compiler: Compiler,
    *,
    choices: Choices,
    largest_tile_px: int,
    tell: Callable[[str], None],
) -> list[Prepared]:
    """Put a plan beside the newest network of every model that is one.

    A plan that lies there and is not the right one is removed before anything
    else, so that a failure leaves nothing that a server could load by mistake.

    Parameters
    ----------
    model_repository : Path
        With ``model.onnx`` and ``reference.npz`` in each network's newest version.
    cache : PlanCache
        Where plans are kept between starts.
    compiler : Compiler
        TensorRT on the GPU that will serve.
    choices : Choices
        What the compiler is told.
    largest_tile_px : int
        Largest tile that will be served, see ``profiles``.
    tell : callable
        Takes a line about what is going on.

    Raises
    ------
    SettingError
        If the repository has no network.
    ContractError
        If a network lacks its reference, or does not fit this release.
    PlanError
        If a plan cannot be built or does not answer as its network does.
    OutputError
        If the repository cannot be written to.
    """
    names = [name for name in networks() if (model_repository / name / "config.pbtxt").exists()]
    if not names:
        raise SettingError(
            f"{model_repository} has none of the networks {', '.join(networks())}; expected a "
            "model repository of this project"
        )
    done = []
    for name in names:
        file = network_file(model_repository, name)
        reference = read_reference(file, networks()[name][0])
        key = PlanKey(
            reference.network_sha256,
            reference.precision,
            compiler.version,
            compiler.compute_capability,
            choices,
            profiles(name, largest_tile_px=largest_tile_px),
        )
        done.append(_prepared(name, file, reference, key, cache, compiler, tell))
    return done


def _prepared(
    model: str,
    file: Path,
    reference: Reference,
    key: PlanKey,
    cache: PlanCache,
    compiler: Compiler,
    tell: Callable[[str], None],
) -> Prepared:
    with cache.locked(key):
        kept = cache.find(key)
        _withdraw(file.parent, kept)
        allowed = gate.tolerance(key.precision, tf32=key.choices.tf32)
        if kept is not None:
            difference = _difference(compiler, kept.plan, reference, key)
            gate.check(difference, allowed, model=model)
            entry = kept
        else:
            tell(f"building the plan of {model} for {compiler.gpu}, which takes minutes")
            entry = _built(model, file, reference, key, cache, compiler)
            difference = entry.record.largest_difference
        _put(file.parent, entry)
    return Prepared(model, file.parent.name, entry.record, difference, kept is not None)


def _built(
    model: str,
    file: Path,
    reference: Reference,
    key: PlanKey,
    cache: PlanCache,
    compiler: Compiler,
) -> Entry:
    """Build a plan and keep it, once it has passed."""
    begin_s = time.monotonic()
    timing = cache.timing_cache(key)
    compiled = compiler.compile(file.read_bytes(), key.profiles, key.choices, timing)
    build_s = time.monotonic() - begin_s
    cache.keep_timing_cache(key, compiled.timing_cache)
    executor = compiler.load(compiled.plan)
    difference = gate.largest_difference(executor, reference, key.profiles)
    allowed = gate.tolerance(key.precision, tf32=key.choices.tf32)
    gate.check(difference, allowed, model=model)
    record = Record(
        model=model,
        key=key.as_dict(),
        plan_sha256=sha256(compiled.plan),
        plan_bytes=len(compiled.plan),
        gpu=compiler.gpu,
        build_s=round(build_s, 1),
        activation_bytes=executor.activation_bytes,
        largest_difference=difference,
        tolerance=allowed,
        made_by=f"smlm-recon {smlm_pipeline.__version__}, contract {contract.CONTRACT_VERSION}",
    )
    entry = Entry(compiled.plan, record)
    cache.store(key, entry)
    return entry


def _difference(compiler: Compiler, plan: bytes, reference: Reference, key: PlanKey) -> float:
    """What a kept plan answers today: the driver or the GPU may be another than at its build."""
    return gate.largest_difference(compiler.load(plan), reference, key.profiles)


def _withdraw(version: Path, right: Entry | None) -> None:
    """Remove a plan that is not the right one."""
    placed = version / PLAN_FILE
    try:
        if placed.exists() and (right is None or placed.read_bytes() != right.plan):
            placed.unlink()
            (version / SIDECAR_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(placed, error) from error


def _put(version: Path, entry: Entry) -> None:
    """Put a plan and its record where Triton loads it."""
    placed = version / PLAN_FILE
    try:
        if not placed.exists():
            replace_file(placed, entry.plan)
        replace_file(version / SIDECAR_FILE, entry.record.as_json())
    except OSError as error:
        raise _unwritable(placed, error) from error


def _unwritable(file: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{file} cannot be written ({error.strerror}); expected a model repository of this user: "
        "copy it, and name the copy with --model-repository"
    )
