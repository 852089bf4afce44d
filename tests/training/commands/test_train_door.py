"""Errors of ``recon-train`` that no code foresaw: one line and an exit code, no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from smlm_training.cli import app
from smlm_training.commands import simulate as command


def _simulate(monkeypatch: pytest.MonkeyPatch, folder: Path, error: BaseException) -> Result:
    """Run ``simulate`` with a writer of films that fails."""

    def fail(*_: Any, **__: Any) -> int:
        raise error

    monkeypatch.setattr(command, "write_film", fail)
    return CliRunner().invoke(app, ["simulate", str(folder)])


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (KeyError("z"), 1, "recon-train: unexpected KeyError: 'z'; please report this\n"),
        (
            PermissionError(13, "Permission denied", "film"),
            7,
            "recon-train: [Errno 13] Permission denied: 'film'; is there room and a right to "
            "write?\n",
        ),
        (
            ModuleNotFoundError("No module named 'keras'", name="keras"),
            2,
            "recon-train: keras is not installed; pip install 'smlm-recon[train]'\n",
        ),
        (KeyboardInterrupt(), 130, "recon-train: interrupted; nothing is half-written\n"),
    ],
    ids=["unforeseen", "output", "extra", "interrupt"],
)
def test_an_error_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    exit_code: int,
    message: str,
) -> None:
    result = _simulate(monkeypatch, tmp_path, error)
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", message)
