"""The help of ``recon-train``: complete, true to its commands, and without heavy imports."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest
import typer

from smlm_pipeline.cli.lazy_commands import LazyCommand
from smlm_training.cli import COMMANDS

HEAVY = ("keras", "matplotlib", "onnx", "onnxruntime", "tensorflow", "tf2onnx", "tritonclient")
SCIPY = ("fft", "linalg", "ndimage", "optimize", "sparse", "spatial", "special", "stats")
FORBIDDEN = {*HEAVY, *(f"scipy.{room}" for room in SCIPY)}
"""SciPy itself is a stub that imports its rooms when they are used."""

SCRIPT = """
import json, sys
from smlm_training.cli import app
try:
    app(sys.argv[1:], prog_name="recon-train")
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _help(*command: str) -> tuple[str, set[str]]:
    """The help as printed, and the modules that were imported for it."""
    call = [sys.executable, "-c", SCRIPT, *command, "--help"]
    process = subprocess.run(call, capture_output=True, text=True, check=True)
    return process.stdout, set(json.loads(process.stderr))


def test_help_lists_all_commands_without_importing_one() -> None:
    printed, modules = _help()
    for command in COMMANDS:
        assert f" {command.name} " in printed
    assert modules & FORBIDDEN == set()
    assert not any(name.startswith("smlm_training.commands") for name in modules)
    assert "numpy" not in modules


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_a_command_imports_nothing_heavy(command: LazyCommand) -> None:
    printed, modules = _help(command.name)
    assert f"recon-train {command.name} " in printed
    assert modules & FORBIDDEN == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_line_of_a_command_is_that_of_its_docstring(command: LazyCommand) -> None:
    paragraph = str(inspect.getdoc(command.load())).split("\n\n")[0]
    assert command.help == " ".join(paragraph.split())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_many_options_are_in_panels(command: LazyCommand) -> None:
    """Up to eight fit one panel; where there are panels, every option has one."""
    app = typer.Typer(add_completion=False)
    app.command()(command.load())
    options = [each for each in typer.main.get_command(app).params if each.name != "help"]
    options = [each for each in options if each.param_type_name == "option"]
    panels = [getattr(each, "rich_help_panel", None) for each in options]
    assert len(options) <= 8 or len(set(panels)) > 1
