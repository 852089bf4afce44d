"""The model repository: its place, the names of its files, and the hash of a network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError, SettingError

NETWORK_FILE = "model.onnx"
"""The network of a version."""

HALF_FILE = "model.fp16.onnx"
"""The same network in half precision, beside it, where its images are as good: for GPUs."""

CARD_FILE = "model.json"
"""The network's card, beside it."""

CPU_PRECISION = "cpu_precision"
"""Name in a card: the precision on CPUs that have it, where the scores allow it."""

_UM_PX = 10
"""Camera pixels along a micrometre, as training counts."""

REFERENCE_FILE = "reference.npz"
"""Reference frames and the network's answers to them, beside it; see ``compute.reference``."""

NETWORK_BYTES_MOST = 1 << 30
"""Largest file of a network; the shipped ones have some MB."""

_LFS_POINTER = b"version https://git-lfs"

PLAN_FILE = "model.plan"
"""The TensorRT plan of the network for the GPU of this machine, beside it."""

PLAN_RECORD = "plan.json"
"""The record of how the plan was built, beside it."""

_STATED, _BORDERS = (
    re.compile(rf'key: *"{parameter}" *value *\{{ *string_value: *"([^"]*)"')
    for parameter in (contract.CONTRACT_PARAMETER, contract.CLASS_BORDERS_PARAMETER)
)
"""The contract's version and a network's class borders in a model's configuration."""

_INSTALLED = Path(__file__).parent / "model_repository"
_CHECKOUT = Path(__file__).parents[2] / "model_repository"


def find_model_repository(given: Path | None = None) -> Path:
    """Return the absolute path of the given repository, or of the installed one.

    Raises
    ------
    SettingError
        If there is no ``reconstruction`` model in it.
    ContractError
        If that model is of another contract.
    """
    candidates = [given] if given is not None else [_INSTALLED, _CHECKOUT]
    for folder in candidates:
        configuration = folder / contract.RECONSTRUCTION.name / "config.pbtxt"
        if configuration.exists():
            _check_contract(configuration)
            return folder.resolve()
    raise SettingError(
        f"no model repository at {candidates[-1]}: expected a folder with "
        f"{contract.RECONSTRUCTION.name}/config.pbtxt; name one with --model-repository"
    )


def _check_contract(configuration: Path) -> None:
    stated = _STATED.search(configuration.read_text("utf-8"))
    if stated is not None and stated[1] != str(contract.CONTRACT_VERSION):
        raise ContractError(
            f"the model repository {configuration.parents[1]} is of contract version {stated[1]}; "
            f"this release takes {contract.CONTRACT_VERSION}: take the repository of this release, "
            "and train networks of your own again"
        )


def network_file(model_repository: Path, model: str) -> Path:
    """Return the network's file in the newest version of a model.

    Raises
    ------
    SettingError
        If there is none.
    ContractError
        If it cannot be a network.
    """
    files = model_repository.glob(f"{model}/*/{NETWORK_FILE}")
    versions = {int(file.parent.name): file for file in files if file.parent.name.isdigit()}
    if not versions:
        raise SettingError(
            f"no network in {model_repository / model}: expected 1/{NETWORK_FILE}; "
            "publish one, or name another repository with --model-repository"
        )
    return _checked(versions[max(versions)])


def _checked(file: Path) -> Path:
    """Refuse what is no network before an engine reads it: it may have no end.

    Raises
    ------
    ContractError
        If it is no file, is larger than ``NETWORK_BYTES_MOST`` or a pointer of Git LFS.
    """
    try:
        size_bytes = file.stat().st_size if file.is_file() else None
        if size_bytes is not None and size_bytes <= NETWORK_BYTES_MOST:
            with file.open("rb") as stream:
                if not stream.read(len(_LFS_POINTER)).startswith(_LFS_POINTER):
                    return file
            fault = "is a pointer of Git LFS, not its file: run 'git lfs pull'"
        elif size_bytes is None:
            fault = "is no file: publish a network"
        else:
            fault = f"has {size_bytes:,} bytes: publish a network of less than 1 GiB"
    except OSError as error:
        fault = f"cannot be read ({error.strerror}): give the right to read it"
    raise ContractError(f"{file} {fault}, or name another repository with --model-repository")


def class_borders_px(model_repository: Path, model: str) -> dict[int, tuple[float, ...]]:
    """Return a network's class borders as a server states them; empty where there are none.

    See `contract.class_borders_of`.
    """
    configuration = model_repository / model / "config.pbtxt"
    if not configuration.exists():
        return {}
    stated = _BORDERS.search(configuration.read_text("utf-8"))
    return contract.class_borders_of(stated[1]) if stated is not None else {}


def network_sha256(file: Path) -> str:
    """Return the SHA-256 of a network's file, in hexadecimal: the network's identity."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def trained_ranges(network: Path) -> dict[str, tuple[float, float]]:
    """Return the ranges that a network's card says it was trained on; empty without card."""
    return ranges_of_card(_card_of(network))


def ranges_of_card(card: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return those of a card: `contract.DENSITY_RANGE` and `contract.WIDTH_RANGE`, where stated."""
    found: Any = card
    for name in ("training", "recipe", "ranges"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return {}
    ranges = {}
    if density := _pair(found.get("density_per_um2")):  # lines fill patches more than areas do
        patch_px, most = found.get("patch_px", 0), found.get("emitters_max", 0)
        of_patches = most * (_UM_PX / patch_px) ** 2 if patch_px else 0.0
        ranges[contract.DENSITY_RANGE] = 0.0, max(density[1], of_patches)
    if width := _pair(found.get("sigma_px")):
        ranges[contract.WIDTH_RANGE] = width
    return ranges


def _pair(stated: object) -> tuple[float, float] | None:
    if isinstance(stated, list) and len(stated) == 2:
        return float(stated[0]), float(stated[1])
    return None


def cpu_precision(network: Path) -> str:
    """Return the precision that a network's card allows on a CPU: ``"bf16"`` or ``"f32"``.

    It is float32 where there is no card, or where the card is of another network.
    """
    return "bf16" if _card_of(network).get(CPU_PRECISION) == "bf16" else "f32"


def _card_of(network: Path) -> dict[str, Any]:
    """The card of a network; empty where there is none, or that of another network."""
    try:
        card = json.loads(network.with_name(CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    own = isinstance(card, dict) and card.get("sha256") == network_sha256(network)
    return card if own else {}
