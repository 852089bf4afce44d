"""Presets in JSON files: the settings that differ from a built-in preset, checked by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from smlm_pipeline.errors import SettingError
from smlm_training.fitting.recipes import PRESETS, Recipe

_Settings = TypeVar("_Settings")

_NOT_FIELDS = frozenset({"base", "measured_from"})
"""Keys of a file that are no settings: the preset that it changes, and its origin."""

_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def recipe_of(preset: str) -> Recipe:
    """The recipe of a built-in preset, or of a JSON file.

    A file holds the fields that differ from the preset that its key ``base``
    names ("default" where there is none); ``ranges`` and ``cut`` are objects.
    ``measured_from`` may hold anything and is ignored.

    Raises
    ------
    SettingError
        If there is no such preset or file, or the file has an unknown key or a
        value that does not fit; the message names the key and what is allowed.
    """
    if preset in PRESETS:
        return PRESETS[preset]
    path = Path(preset)
    if not path.is_file():
        raise SettingError(
            f"preset is {preset!r}; expected one of {', '.join(PRESETS)}, or a JSON file"
        )
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingError(f"{path} is no JSON ({error}); expected a preset file") from error
    if not isinstance(stated, dict):
        raise SettingError(f"{path} holds {_shown(stated)}; expected an object of settings")
    base = stated.get("base", "default")
    if base not in PRESETS:
        raise SettingError(f"base is {base!r} in {path}; expected one of {', '.join(PRESETS)}")
    changes = {key: value for key, value in stated.items() if key not in _NOT_FIELDS}
    try:
        return changed(PRESETS[base], changes)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error


def preset_json(recipe: Recipe) -> str:
    """The text of a preset file with every setting."""
    return json.dumps(asdict(recipe), indent=2)


def changed(settings: _Settings, changes: Mapping[str, Any], within: str = "") -> _Settings:
    """A dataclass with some fields replaced by values out of JSON.

    Parameters
    ----------
    settings : dataclass
        Settings to change.
    changes : mapping
        New values by field name; dataclasses within are mappings themselves.
    within : str
        Prefix of a field's name in messages.

    Raises
    ------
    SettingError
        If a key is no field or a value is of another type than its field.
    """
    hints = get_type_hints(type(settings))
    known = [each.name for each in fields(settings)]  # type: ignore[arg-type]
    values = {}
    for name, value in changes.items():
        key = f"{within}{name}"
        if name not in known:
            raise SettingError(f"{key} is no setting; expected one of {', '.join(known)}")
        present = getattr(settings, name)
        if is_dataclass(present) and isinstance(value, Mapping):
            values[name] = changed(present, value, f"{key}.")
        else:
            values[name] = _converted(value, hints[name], key)
    return replace(settings, **values)  # type: ignore[type-var]


def _converted(value: Any, hint: Any, key: str) -> Any:
    """A JSON value as the type of its field; lists become tuples, and whole numbers floats."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if isinstance(value, list) and len(value) == len(kinds):
            return tuple(
                _converted(part, kind, f"{key}[{index}]")
                for index, (part, kind) in enumerate(zip(value, kinds, strict=True))
            )
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise SettingError(f"{key} is {_shown(value)}; expected {_described(hint)}")


def _described(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))}: {', '.join(map(_described, get_args(hint)))}"
    return _WORDS.get(hint, "an object of settings")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
