"""Publication of a network in a model repository as its next version, whole or not at all.

A version is written under a name that Triton ignores, beside the versions and so
on their file system, synchronised with the disk, and renamed as a whole. A server
that polls or reloads sees the version with all its files, or does not see it.

The model's configurations then state what the newest version's card does: its class borders, and
the pixels of a request.

A version published here serves on a CPU at once. On a GPU the model is a TensorRT
plan, compiled from ``model.fp16.onnx`` or ``model.onnx`` on a GPU of the same kind: the plan of
the new version has to be built before a server there can load it, and is checked against
``reference.npz``.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.errors import OutputError, SettingError
from smlm_pipeline.model_repository import PLAN_FILE, find_model_repository
from smlm_training.delivery.candidate import CARD_FILE, read_candidate
from smlm_training.delivery.configuration import class_borders_of, configure
from smlm_training.delivery.half_card import check_stated
from smlm_training.delivery.half_file import HalfFile, write_half
from smlm_training.delivery.reference import make_reference, precision_of

NETWORK_FILE = "model.onnx"
SERVING_FILE = "model.py"

STAGING_PREFIX = ".publishing-"
"""Triton takes folders whose names begin with a number as versions, and ignores this one."""


@dataclass(frozen=True)
class Published:
    """The new version and its card, and those of the version before, if there was one.

    ``half`` is its variant in FP16, or why there is none. ``plan_missing`` is true if the version
    before has a TensorRT plan, which the new one does not have yet.
    """

    model: str
    version: int
    folder: Path
    card: Mapping[str, Any]
    half: HalfFile
    version_before: int | None = None
    card_before: Mapping[str, Any] = field(default_factory=dict)
    plan_missing: bool = False


def writable_repository(given: Path | None) -> Path:
    """The repository to publish in: the given one, or the checkout's own.

    Raises
    ------
    SettingError
        If there is none, or it belongs to the installed package.
    OutputError
        If this user has no right to write in it.
    """
    repository = find_model_repository(given)
    if repository.is_relative_to(Path(smlm_pipeline.__file__).resolve().parent):
        raise SettingError(
            f"{repository} belongs to the installed package, whose next upgrade would delete the "
            "new version; copy the folder, and name the copy with --model-repository"
        )
    for folder in (repository / model for model in contract.NETWORKS):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(
                f"{folder} is not writable for this user; expected a repository of yours, named "
                "with --model-repository"
            )
    return repository


def publish(network_file: Path, repository: Path, *, model: str | None = None) -> Published:
    """Put a network, its card and its ``model.py`` into ``repository`` as the next version.

    Several programs may publish at once: each gets another version, and the configurations are
    those of the newest.

    Parameters
    ----------
    network_file : Path
        ``model.onnx``, with the card ``model.json`` of its export beside it.
    repository : Path
        A model repository that is writable.
    model : str, optional
        One of ``contract.NETWORKS``; by default the one that the card names.

    Raises
    ------
    SettingError
        If a file or the model is missing, or the card cannot be read.
    ContractError
        If the network is not the one of its card, does not fit the contract, or computes in
        FP16 and its card does not state the NMSE of both; or if the card states no class borders
        of a network that answers with detections.
    """
    candidate = read_candidate(network_file, model)
    answer = contract.ensemble_of(candidate.spec.name).answer
    if not answer.makes_maps:
        class_borders_of(candidate.card)
    if precision_of(candidate.network) == "fp16":
        check_stated(candidate.card)
    folder = repository / candidate.spec.name
    if not (folder / "config.pbtxt").exists():
        raise SettingError(
            f"no {folder / 'config.pbtxt'}, which a network like {network_file} needs; copy the "
            "folder of that model from a release"
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix=STAGING_PREFIX) as staging:
        staged = Path(staging) / "version"
        staged.mkdir()
        _write(staged / NETWORK_FILE, candidate.network)
        _write(staged / CARD_FILE, candidate.card_text)
        _flush(make_reference(staged / NETWORK_FILE))
        half = write_half(staged / NETWORK_FILE)
        if half.path is not None:
            _flush(half.path)
        _write(staged / SERVING_FILE, _newest(folder, SERVING_FILE).read_bytes())
        _synchronise(staged)
        version = _rename_to_next(staged, folder)
    _synchronise(folder)
    _configure_for_newest(folder, answer)
    return _published(folder, version, candidate.card, half)


def _configure_for_newest(folder: Path, answer: contract.Answer) -> None:
    """Configure the model for its newest version, also if that appears meanwhile."""
    configured = None
    while (newest := max(_versions(folder))) != configured:
        configure(folder, answer, _card_if_any(folder / str(newest) / CARD_FILE))
        configured = newest


def _versions(folder: Path) -> list[int]:
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def _newest(folder: Path, name: str) -> Path:
    """The file of this name in the newest version that has one."""
    files = (folder / str(version) / name for version in reversed(_versions(folder)))
    for file in files:
        if file.is_file():
            return file
    raise SettingError(
        f"no version in {folder} has a {name}; expected the one of a release, which serves the "
        "network on a CPU"
    )


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush(file: Path) -> None:
    """Have a file that another function wrote survive a power cut."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def _synchronise(folder: Path) -> None:
    """Have the names in a folder survive a power cut, where the system can promise that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_to_next(staged: Path, folder: Path) -> int:
    """Make ``staged`` the next version; the first program to rename gets the number."""
    while True:
        version = max(_versions(folder), default=0) + 1
        try:
            staged.rename(folder / str(version))
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
        else:
            return version


def _published(folder: Path, version: int, card: Mapping[str, Any], half: HalfFile) -> Published:
    before = max((older for older in _versions(folder) if older < version), default=None)
    published = Published(folder.name, version, folder / str(version), card, half)
    if before is None:
        return published
    return replace(
        published,
        version_before=before,
        card_before=_card_if_any(folder / str(before) / CARD_FILE),
        plan_missing=(folder / str(before) / PLAN_FILE).exists(),
    )


def _card_if_any(file: Path) -> Mapping[str, Any]:
    """An older version's card; empty if it is missing or cannot be read."""
    try:
        card = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
