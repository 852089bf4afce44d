"""The commands of the three programs, with their arguments and options, as Typer has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from smlm_bench.cli import app as bench
from smlm_pipeline.cli.app import app as client
from smlm_training.cli import app as train

PROGRAMS: dict[str, Any] = {
    name: typer.main.get_command(app)
    for name, app in (("recon-client", client), ("recon-train", train), ("recon-bench", bench))
}


def commands(program: str) -> dict[str, Any]:
    """Each command of a program by its full name; groups of commands are left out."""
    return dict(_commands(PROGRAMS[program], program))


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(group, "list_commands"):
        yield name, group
        return
    context = group.make_context(name, [], resilient_parsing=True)
    for command in group.list_commands(context):
        yield from _commands(group.resolve_command(context, [command])[1], f"{name} {command}")


def options(command: Any) -> list[Any]:
    """The options of a command, --help excepted."""
    parameters = [each for each in command.params if each.param_type_name == "option"]
    return [option for option in parameters if "--help" not in option.opts]


def arguments(command: Any) -> list[Any]:
    """The arguments of a command."""
    return [each for each in command.params if each.param_type_name == "argument"]


def panel(option: Any) -> str:
    """The panel of the help in which an option is printed."""
    return str(getattr(option, "rich_help_panel", None) or "Options")
