"""Write the commands and options of docs/cli.md again, from the programs themselves.

``python tests/package/renew_cli_page.py``; the text above the first program is kept.
"""

from __future__ import annotations

import enum
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.command_tree import PROGRAMS, arguments, commands, options, panel
from fakes.places import ROOT

PAGE = ROOT / "docs" / "cli.md"


def _page() -> str:
    head = PAGE.read_text(encoding="utf-8").split("\n## recon-client\n", 1)[0].rstrip()
    parts = [head]
    for program, group in PROGRAMS.items():
        parts += [f"## {program}", _wrapped(group.help)]
        for name, command in commands(program).items():
            parts += _command(name, command)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    places = [_place(argument) for argument in arguments(command)]
    yield f"### {name}"
    yield f"`{' '.join([name, *places, '[OPTIONS]'] if options(command) else [name, *places])}`"
    yield from (_wrapped(paragraph) for paragraph in (command.help or "").split("\n\n"))
    if places:
        rows = [f"| `{_metavar(each)}` | {_cell(each.help)} |" for each in arguments(command)]
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows])
    panels: dict[str, list[str]] = {}
    for option in options(command):
        panels.setdefault(panel(option), []).append(_row(option))
    for title, rows in panels.items():
        yield f"**{title}**"
        yield "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _row(option: Any) -> str:
    names = [*sorted(option.opts, key=len), *option.secondary_opts]
    if not option.is_flag:
        names[-1] += f" {_metavar(option)}"
    variable = f" Variable: `{option.envvar}`." if option.envvar else ""
    code = ", ".join(f"`{name}`" for name in names)
    return f"| {code} | {_default(option)} | {_cell(option.help)}{variable} |"


def _default(option: Any) -> str:
    default = option.default.value if isinstance(option.default, enum.Enum) else option.default
    if option.is_flag:
        return ("on" if default else "off") if option.secondary_opts else ""
    return "" if default is None or callable(default) or default == [] else f"`{default}`"


def _metavar(parameter: Any) -> str:
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", str)
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "\\|".join(member.value for member in kind)
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


def _place(argument: Any) -> str:
    name = _metavar(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _wrapped(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return textwrap.fill(flat, 100, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(_page(), encoding="utf-8")
