"""Programs whose commands, and what these run, are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import smlm_pipeline
from smlm_pipeline.cli.lazy_commands import LazyCommand, imported_when_used, lazy_app

MODULES = {
    "lazy_house/__init__.py": "",
    "lazy_house/paint.py": """
        import typer
        def paint(colour: str) -> None:
            "Paint a wall."
            typer.echo(f"painted {colour}")
    """,
    "lazy_house/doors.py": """
        import typer
        app = typer.Typer(help="Open and shut.")
        @app.command("open")
        def open_door() -> None:
            "Open a door."
            typer.echo("opened")
        @app.command("shut")
        def shut_door() -> None:
            "Shut a door."
    """,
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """A program of two commands in modules that nothing has imported."""
    for name, text in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(line[8:] for line in text.splitlines()))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("", ".paint", ".doors", ".heavy"):
        monkeypatch.delitem(sys.modules, f"lazy_house{name}", raising=False)
    return lazy_app(
        LazyCommand("paint", "lazy_house.paint:paint", "Paint a wall."),
        LazyCommand("door", "lazy_house.doors:app", "Open and shut."),
        program="house",
        help="A house.",
        epilog="No exit codes.",
    )


def _invoke(app: typer.Typer, *arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_help_lists_the_commands_without_importing_them(house: typer.Typer) -> None:
    result = _invoke(house, "--help")
    assert result.exit_code == 0, result.output
    for text in ("A house.", "paint", "Paint a wall.", "Open and shut.", "No exit codes."):
        assert text in result.stdout
    assert not any(name.startswith("lazy_house") for name in sys.modules)


def test_a_call_imports_its_command_alone(house: typer.Typer) -> None:
    result = _invoke(house, "paint", "green")
    assert (result.exit_code, result.stdout) == (0, "painted green\n")
    assert "lazy_house.paint" in sys.modules
    assert "lazy_house.doors" not in sys.modules


def test_help_of_a_command_is_its_own(house: typer.Typer) -> None:
    result = _invoke(house, "paint", "-h")
    assert result.exit_code == 0, result.output
    assert "Usage: root paint [OPTIONS]" in result.stdout
    assert "colour" in result.stdout.lower()
    assert "No exit codes." not in result.stdout


def test_a_command_may_have_commands(house: typer.Typer) -> None:
    assert _invoke(house, "door", "open").stdout == "opened\n"
    assert "Shut a door." in _invoke(house, "door", "--help").stdout


def test_a_misspelt_command_is_refused_with_a_suggestion(house: typer.Typer) -> None:
    result = _invoke(house, "pain")
    assert result.exit_code == 2
    assert "No such command 'pain'. Did you mean 'paint'?" in result.stderr
    assert "lazy_house.paint" not in sys.modules


def test_version(house: typer.Typer) -> None:
    result = _invoke(house, "--version")
    assert (result.exit_code, result.stdout) == (0, f"house {smlm_pipeline.__version__}\n")
    assert "lazy_house.paint" not in sys.modules


def test_modules_are_executed_when_they_are_used(house: typer.Typer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "lazy_house" / "heavy.py").write_text(
        f"from pathlib import Path\nPath({str(log)!r}).touch()\nANSWER = 42\n"
    )
    with imported_when_used():
        heavy = importlib.import_module("lazy_house.heavy")
    assert not log.exists()
    assert heavy.ANSWER == 42
    assert log.exists()


def test_imports_after_the_block_are_not_delayed(house: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "lazy_house" / "heavy.py").write_text("raise ValueError('executed')\n")
    with imported_when_used():
        pass
    with pytest.raises(ValueError, match="executed"):
        importlib.import_module("lazy_house.heavy")


def test_a_missing_module_is_missed_at_once() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), imported_when_used():
        importlib.import_module("no_such_module")
