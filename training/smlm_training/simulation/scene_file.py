"""Scenes as JSON files: the settings of a film, to read, to change and to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import smlm_pipeline
from smlm_pipeline.errors import SettingError
from smlm_training.simulation.backgrounds import Background
from smlm_training.simulation.bounds import check_one_of
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.samples import SAMPLES
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scmos import ScmosChip
from smlm_training.simulation.spot_shape import SpotShape

CAMERAS: dict[str, type[Emccd] | type[ScmosChip]] = {"emccd": Emccd, "scmos": ScmosChip}
"""Kinds of cameras by their name on the command line."""

_Settings = TypeVar("_Settings")


def write_scene(path: Path, scene: Scene, *, molecules: int) -> None:
    """Write all settings of a film, with the number of molecules in its field."""
    kind = next(name for name, camera in CAMERAS.items() if isinstance(scene.camera, camera))
    settings = asdict(scene)
    settings["sample"] = {"kind": scene.sample.kind, **settings["sample"]}
    settings["camera"] = {"kind": kind, **settings["camera"]}
    made_by = f"recon-train simulate; smlm-recon {smlm_pipeline.__version__}"
    table = {"made_by": made_by, "molecules": molecules, "scene": settings}
    path.write_text(json.dumps(table, indent=2) + "\n")


def read_scene(path: Path) -> Scene:
    """Read a file of `write_scene`, or one written by hand; missing settings have their defaults.

    Raises
    ------
    SettingError
        If it is no such file, or has an unknown or impossible setting.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return _scene(table["scene"])
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingError(
            f"{path} is not the simulation.json of a film ({type(error).__name__}: {error}); "
            "'recon-train simulate' writes one beside each film"
        ) from error


def _scene(table: Mapping[str, Any]) -> Scene:
    parts = dict(table)
    parts["sample"] = _one_of("sample", SAMPLES, table["sample"])
    parts["camera"] = _one_of("camera", CAMERAS, table["camera"])
    light = dict(table["fluorophore"])
    light["shape"] = _filled("shape", SpotShape, light.get("shape", {}))
    parts["fluorophore"] = _filled("fluorophore", Fluorophore, light)
    parts["background"] = _filled("background", Background, table["background"])
    return _filled("scene", Scene, parts)


def _one_of(name: str, kinds: Mapping[str, type[_Settings]], table: Mapping[str, Any]) -> _Settings:
    kind = table["kind"]
    check_one_of(f"kind of {name}", kind, kinds)
    others = {key: value for key, value in table.items() if key != "kind"}
    return _filled(name, kinds[str(kind)], others)


def _filled(name: str, kind: type[_Settings], table: Mapping[str, Any]) -> _Settings:
    """The settings of a dataclass, which checks their values; JSON has lists for tuples."""
    for key in table:
        known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
        check_one_of(f"a setting of {name}", key, known)
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items()})
