"""docs/cli.md names every command, option and exit code of the programs, and no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from fakes.command_tree import PROGRAMS, arguments, commands, options, panel
from fakes.places import ROOT
from smlm_bench import cli as bench
from smlm_pipeline import errors
from smlm_pipeline.cli import app as client
from smlm_pipeline.cli.exit_codes import EXIT_CODES
from smlm_training import cli as train

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
RENEW = "python tests/package/renew_cli_page.py"
COMMANDS = {name: command for program in PROGRAMS for name, command in commands(program).items()}


def _section(command: str) -> str:
    (section,) = re.findall(
        rf"^### {command}\n(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE
    )
    return str(section)


def test_every_command_has_a_section() -> None:
    assert set(re.findall(r"^### (.+)$", PAGE, flags=re.MULTILINE)) == set(COMMANDS), RENEW


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_those_of_the_command(name: str) -> None:
    """Each in the panel of the help in which it is printed."""
    offered = {
        (panel(option), spelling)
        for option in options(COMMANDS[name])
        for spelling in (*option.opts, *option.secondary_opts)
    }
    described = set()
    for block in _section(name).split("\n**")[1:]:
        title, table = block.split("**", 1)
        names = re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)
        found = {word for cell in names for word in re.findall(r"`(--?[\w-]+)", cell)}
        described |= {(title, spelling) for spelling in found}
    assert described == offered, RENEW


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_are_those_of_the_command(name: str) -> None:
    usage = re.findall(rf"^`{name} ?(.*)`$", _section(name), flags=re.MULTILINE)
    words = re.findall(r"[A-Z][\w.]*", usage[0].replace("[OPTIONS]", ""))
    assert [word.removesuffix("...") for word in words] == [
        str(argument.metavar or argument.name).upper() for argument in arguments(COMMANDS[name])
    ], RENEW


def _codes_of_the_page() -> dict[int, str]:
    table = PAGE.split("\n## Exit codes\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", table, flags=re.MULTILINE)
    return {int(code): meaning for code, meaning in rows}


def test_exit_codes_are_those_of_the_help() -> None:
    printed = re.findall(r"(\d+) ([^;.]+)", " ".join(EXIT_CODES.split()).split(". ", 1)[0])
    assert len(printed) >= 11
    described = _codes_of_the_page()
    assert set(described) == {int(code) for code, _meaning in printed} | {143}
    for code, meaning in printed:
        assert int(code) == 130 or described[int(code)] == meaning


def test_exit_codes_are_those_of_the_errors() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.exit_code for each in kinds if issubclass(each, errors.ReconError)}
    assert codes <= set(_codes_of_the_page())
    assert codes == set(range(1, 11))


def _calls(page: Path) -> list[str]:
    """Calls of the programs in the code of a page, one a line."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    code = [*re.findall(r"`([^`\n]+)`", text), *(line for it in blocks for line in it.splitlines())]
    return [line for line in code if line.startswith("recon-")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_calls_of_the_programs_exist(page: Path) -> None:
    """Their commands, and the options that are given to these."""
    if page.name == "CHANGELOG.md":  # which names options that are gone
        return
    for call in _calls(page):
        words = call.split()
        if len(words) < 2 or words[0] not in PROGRAMS or words[1].startswith("-"):
            continue
        names = [" ".join(words[:length]) for length in (2, 3)]
        known = [name for name in names if name in COMMANDS]
        assert known or any(name.startswith(f"{names[0]} ") for name in COMMANDS), call
        if known:
            given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            spellings = [each.opts + each.secondary_opts for each in options(COMMANDS[known[-1]])]
            assert given <= {"-h", "--help", *(name for names in spellings for name in names)}, call


@pytest.mark.parametrize("program", [client, train, bench], ids=PROGRAMS)
def test_the_line_of_a_command_in_the_help_begins_its_own_help(program: ModuleType) -> None:
    """The program's help is printed without an import of the command."""
    for command in program.COMMANDS:
        target = command.load()
        text = getattr(getattr(target, "info", None), "help", None) or inspect.getdoc(target) or ""
        assert command.help == " ".join(text.split("\n\n")[0].split()), command.name
