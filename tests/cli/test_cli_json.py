"""With ``--json``, results and failures are JSON of one schema, which ships with the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from fakes.command_line import invoke, submit, take_for_local, write_film
from fakes.transports import ComputingTransport, ScriptedTransport
from smlm_bench import cli as bench
from smlm_pipeline import errors
from smlm_pipeline.cli.json_output import SCHEMA_FILE, SCHEMA_VERSION
from smlm_pipeline.errors import InferenceError
from smlm_training import cli as train

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


def printed(result: Result) -> dict[str, Any]:
    """The one object on standard output, which the schema allows."""
    facts: dict[str, Any] = json.loads(result.stdout)
    VALIDATOR.validate(facts)
    assert facts["schema_version"] == SCHEMA_VERSION
    return facts


def failure(result: Result) -> dict[str, Any]:
    """The failure of a command, which people read on standard error too."""
    failed: dict[str, Any] = printed(result)["failure"]
    assert failed["exit_code"] == result.exit_code
    return failed


def test_schema_is_one_and_is_printed() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert json.loads(invoke("schema").stdout) == SCHEMA
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


def test_schema_names_every_error() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    described = SCHEMA["$defs"]["failure"]["properties"]["failure"]["properties"]["error"]
    for kind in kinds:
        if issubclass(kind, errors.ReconError) and kind is not errors.ReconError:
            assert kind.__name__ in described["description"]


@pytest.mark.parametrize(
    "wrong", [{}, {"schema_version": 2}, {"schema_version": 1, "failure": {"program": "x"}}]
)
def test_schema_refuses_others(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(wrong)


def test_report_and_plan(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    assert printed(submit(film, "--json", "--dry-run"))["requests"] == 1
    assert printed(submit(film, "--json"))["frames"] == 16


def test_failures(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = submit(film.with_name("no.tif"), "--json")
    assert failure(missing)["error"] == "FilmError"
    assert f"recon-client: {failure(missing)['message']}" in " ".join(missing.stderr.split())
    assert failure(submit(film, "--json", "--zoom", "0"))["error"] == "SettingError"

    def fail(_label: str) -> None:
        raise InferenceError("no sum")

    take_for_local(monkeypatch, ScriptedTransport(before=fail))
    assert failure(submit(film, "--json"))["error"] == "InferenceError"


@pytest.mark.parametrize("wrong", [["--zoom", "many"], ["--zooom", "8"], ["--engine", "steam"]])
def test_wrong_usage(film: Path, wrong: list[str]) -> None:
    result = submit(film, "--json", *wrong)
    assert failure(result)["error"] == "UsageError"
    assert "Usage: " in result.stderr
    assert submit(film, *wrong).stdout == ""


def test_interruption(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_label: str) -> None:
        raise KeyboardInterrupt

    take_for_local(monkeypatch, ScriptedTransport(before=interrupt))
    result = submit(film, "--json")
    assert failure(result)["error"] == "Interrupted"
    assert result.exit_code == 130


def test_status_without_a_server() -> None:
    result = invoke("status", "--json", "--server", "bogus")
    assert failure(result)["error"] == "SettingError"


def test_other_programs(tmp_path: Path) -> None:
    none = [str(tmp_path / name) for name in ("image.tif", "film.tif", "positions.csv")]
    asked = ["evaluate", none[0], "--stack", none[1], "--positions", none[2], "--json"]
    assert failure(CliRunner().invoke(train.app, asked))["program"] == "recon-train"
    assert "UsageError" in CliRunner().invoke(bench.app, ["speed", "--json"]).stdout
