"""The JSON that commands print with ``--json``, results and failures alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

SCHEMA_VERSION = 1
"""Version of the form of all that is printed with ``--json``; it grows when a field changes its
meaning or disappears, and not when one is added."""

SCHEMA_FILE = Path(__file__).with_name("output.schema.json")
"""JSON schema of all that is printed with ``--json``."""


REPORT_SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
"""JSON schema of the numbers of a report that are written beside an image."""


def print_json(facts: Mapping[str, Any], *, one_line: bool = False) -> None:
    """Print facts as JSON on standard output, the version of their form first.

    Parameters
    ----------
    facts : Mapping
        What to print; keys carry their units.
    one_line : bool
        Whether to print one of several objects (JSON lines) rather than the only one.
    """
    versioned = {"schema_version": SCHEMA_VERSION, **facts}
    typer.echo(json.dumps(versioned, indent=None if one_line else 2))


def print_failure(program: str, error: str, message: str, exit_code: int) -> None:
    """Print why a command failed, as JSON on standard output.

    Parameters
    ----------
    program : str
        The command's name.
    error : str
        The kind of the failure: a class of `smlm_pipeline.errors`, ``UsageError``,
        ``Interrupted`` or the class of an unforeseen error.
    message : str
        The line that people read on standard error, without the program's name.
    exit_code : int
        The code that the command ends with.
    """
    failure = {"program": program, "error": error, "message": message, "exit_code": exit_code}
    print_json({"failure": failure}, one_line=True)


def schema(
    *,
    report: Annotated[
        bool,
        typer.Option("--report", help="Print that of the file of 'submit --report' instead."),
    ] = False,
) -> None:
    """Print the JSON schema of all that commands print with --json."""
    file = REPORT_SCHEMA_FILE if report else SCHEMA_FILE
    typer.echo(file.read_text(encoding="utf-8").rstrip())
