"""Help and version of the three programs, whatever the terminal and the environment."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import smlm_pipeline
from fakes.command_line import invoke
from fakes.command_tree import PROGRAMS, arguments, commands, options
from smlm_bench import cli as bench
from smlm_pipeline.cli import app as client
from smlm_training import cli as train

APPS = {"recon-client": client.app, "recon-train": train.app, "recon-bench": bench.app}


@pytest.mark.parametrize("program", PROGRAMS)
def test_version(program: str) -> None:
    result = CliRunner().invoke(APPS[program], ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{program} {smlm_pipeline.__version__}\n")


@pytest.mark.parametrize("server", ["127.0.0.1:1", "no address"])
def test_help_of_status_needs_no_server(server: str) -> None:
    result = invoke("status", "--help", server=server)
    assert result.exit_code == 0
    assert "--canary" in result.stdout


@pytest.mark.parametrize("columns", [40, 79, 80])
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_name_is_cut(program: str, columns: int) -> None:
    """Names of commands, options and values are whole in a narrow terminal too."""
    runner = CliRunner(env={"COLUMNS": str(columns), "TERMINAL_WIDTH": None})
    listing = runner.invoke(APPS[program], ["--help"]).stdout
    for name, command in commands(program).items():
        assert name.split()[1] in listing
        text = runner.invoke(APPS[program], [*name.split()[1:], "--help"]).stdout
        assert "\u2026" not in text
        for option in options(command):
            for spelling in option.opts:
                assert spelling in text.replace(",", " ").split(), f"{name} {spelling}"
        for argument in arguments(command):
            assert str(argument.metavar or argument.name).upper() in text.upper()
