"""The process that runs Picasso: where its Python is, and messages to it and back."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import SettingError

WORKER = Path(__file__).with_name("worker.py")

PLACES = (Path(sys.executable), Path(".venv-picasso/bin/python"), Path(".venv-readers/bin/python"))
"""Where Picasso is looked for: here, and where ``make picasso`` and ``make readers`` install it."""

OLDEST = (0, 11)
"""The first version that localises frames in memory."""

_VERSION = "from importlib.metadata import version; print(version('picassosr'))"
_LENGTH = struct.Struct("<Q")
_LAST_S = 2.0
"""Longest time for the process to end by itself."""


def find_python(given: Path | None) -> Path:
    """Find a Python that has the package picassosr, of version ``OLDEST`` or later.

    Parameters
    ----------
    given : Path or None
        As the user names it; by default one of ``PLACES``.

    Raises
    ------
    SettingError
        If there is none.
    """
    for python in PLACES if given is None else (given,):
        if _has_picasso(python):
            return python
    where = "it is neither here nor in .venv-picasso" if given is None else f"{given} lacks it"
    raise SettingError(
        f"picasso needs the package picassosr {'.'.join(map(str, OLDEST))} or later, and {where}: "
        "'make picasso' installs it in a checkout; or install 'smlm-recon[picasso]' in an "
        "environment of its own and name that one's Python with --picasso-python"
    )


def _has_picasso(python: Path) -> bool:
    try:
        done = subprocess.run(
            [str(python), "-c", _VERSION], capture_output=True, check=False, text=True
        )
    except OSError:
        return False
    numbers = re.findall(r"\d+", done.stdout)
    return done.returncode == 0 and tuple(map(int, numbers[:2])) >= OLDEST


class PicassoProcess(AbstractContextManager["PicassoProcess"]):
    """A running `worker`; ``stated`` are the versions that it states.

    Parameters
    ----------
    python : Path
        The Python that has Picasso.
    given : dict
        The worker's argument.

    Raises
    ------
    SettingError
        If Picasso does not start.
    """

    def __init__(self, python: Path, given: dict[str, Any]) -> None:
        self._python = python
        self._folder = tempfile.TemporaryDirectory(prefix="recon-picasso-")
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-W", "ignore", str(WORKER), json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Picasso writes settings into the user's folder, and would follow those there.
                env={**os.environ, "HOME": self._folder.name, "USERPROFILE": self._folder.name},
            )
        try:
            line = self._process.stdout.readline() if self._process.stdout else b""
            if not line:
                raise self._ended()
            self.stated: dict[str, Any] = json.loads(line)
        except BaseException:
            self.__exit__()
            raise

    def localise(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Frame, y and x (3, K) of the localisations in frames (N, Y, X), in Picasso's pixels.

        Raises
        ------
        SettingError
            If Picasso fails.
        """
        file = io.BytesIO()
        np.save(file, frames_adu)
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise self._ended()
        try:
            requests.write(_LENGTH.pack(file.tell()) + file.getvalue())
            requests.flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        length = answers.read(_LENGTH.size)
        if len(length) < _LENGTH.size:
            raise self._ended()
        found: NDArray[np.float64] = np.load(io.BytesIO(answers.read(_LENGTH.unpack(length)[0])))
        return found

    def __exit__(self, *_: object) -> None:
        """End the process: it stops when its standard input ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_LAST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _ended(self) -> SettingError:
        """Say that the process ended, with the last line that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return SettingError(
            f"Picasso of {self._python} has failed ({last}); expected picassosr 0.11: take its "
            "version from requirements/picasso.txt, or leave the method picasso out"
        )
