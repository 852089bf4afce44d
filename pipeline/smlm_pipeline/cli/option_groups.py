"""Groups of options that several commands share, as dataclasses of Typer's options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options: parameters that are dataclasses of options.

    Typer sees the fields of the group in the place of the parameter, with their defaults; the
    command gets the group::

        @dataclass(frozen=True)
        class Colours:
            wall: Annotated[str, typer.Option(help="Colour of the walls.")] = "white"

        @with_groups
        def paint(house: Path, colours: Colours) -> None: ...

    Parameters
    ----------
    command : Callable
        A function whose parameters are arguments and options of Typer, or such dataclasses.

    Returns
    -------
    Callable
        The function for Typer, with keyword parameters alone.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            groups[parameter.name] = kind
            parameters += _options(kind)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def call(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field: values.pop(field) for field in _names(kind)})
        command(**values)

    functools.update_wrapper(call, command)
    del call.__dict__["__wrapped__"]  # or its signature would be taken for this one's
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _names(group: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(group)]


def _options(group: type[Any]) -> list[inspect.Parameter]:
    """The fields of a group as parameters."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
