"""The tree of errors, and the exit codes that scripts rely on."""

from __future__ import annotations

import inspect
import re

import pytest

from smlm_pipeline import errors
from smlm_pipeline.cli import exit_codes

CODES = {
    errors.ReconError: 1,
    errors.SettingError: 2,
    errors.FilmError: 3,
    errors.ServerError: 4,
    errors.TransientServerError: 4,
    errors.ServerFullError: 4,
    errors.DeadModelError: 4,
    errors.SwappedAnswerError: 4,
    errors.ServerLostError: 10,
    errors.DeviceError: 4,
    errors.ContractError: 5,
    errors.ChunkError: 6,
    errors.InferenceError: 6,
    errors.OutputError: 7,
    errors.PlanError: 8,
    errors.GpuMemoryError: 8,
    errors.CheckpointError: 9,
}

BUILTINS = {
    errors.FilmError: ValueError,
    errors.SettingError: ValueError,
    errors.ChunkError: ValueError,
    errors.OutputError: OSError,
}


def test_every_error_has_its_code_and_descends_from_the_root() -> None:
    defined = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    assert set(defined) == set(CODES)
    for error, code in CODES.items():
        assert issubclass(error, errors.ReconError)
        assert error.exit_code == code


@pytest.mark.parametrize("error", BUILTINS)
def test_errors_are_also_what_python_calls_them(error: type[errors.ReconError]) -> None:
    assert issubclass(error, BUILTINS[error])


def test_every_code_is_documented_for_the_command_line() -> None:
    documented = {int(code) for code in re.findall(r"\b(\d+) [a-z]", exit_codes.EXIT_CODES)}
    assert documented >= {0, 130, *CODES.values()}


def test_the_drawn_tree_is_the_real_one() -> None:
    """Names, parents (by indentation) and the builtins in brackets."""
    drawn: dict[str, tuple[str, ...]] = {}
    parents: list[str] = []
    for indent, name, builtin in re.findall(
        r"^    ([ │├└─]*)([A-Z]\w+)(?: \((\w+)\))?", errors.__doc__ or "", re.MULTILINE
    ):
        parents = [*parents[: len(indent) // 4], name]
        parent = parents[-2] if len(parents) > 1 else "Exception"
        drawn[name] = (parent, builtin) if builtin else (parent,)
    real = {each.__name__: tuple(base.__name__ for base in each.__bases__) for each in CODES}
    assert drawn == real


def test_an_output_error_keeps_its_message() -> None:
    """An OSError of one argument says just that."""
    assert str(errors.OutputError("out.tif cannot be written")) == "out.tif cannot be written"
