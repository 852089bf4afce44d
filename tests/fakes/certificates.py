"""A certification authority for tests, and certificates of it, made with the program openssl."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl (on Debian: apt-get install openssl)"
)


class Authority:
    """A CA in a folder; ``ca`` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._run("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA")

    def issue(
        self, name: str, alternatives: str = "DNS:localhost,IP:127.0.0.1", days: int = 2
    ) -> tuple[Path, Path]:
        """A certificate for some names, and its key; with negative days it has expired."""
        asked, certificate, key = (f"{name}.{ending}" for ending in ("csr", "pem", "key"))
        self._run("req", *_KEY, "-keyout", key, "-out", asked, "-subj", f"/CN={name}")
        extensions = self._folder / f"{name}.txt"
        extensions.write_text(f"subjectAltName={alternatives}\n")
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        limits = ["-days", str(days), "-extfile", extensions.name]
        self._run("x509", "-req", "-in", asked, "-out", certificate, *signer, *limits)
        return self._folder / certificate, self._folder / key

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=60
        )


@functools.cache
def authority() -> Authority:
    """The CA of this test run."""
    return Authority(_folder("ca"))


@functools.cache
def other_authority() -> Authority:
    """A CA that no one here trusts."""
    return Authority(_folder("other"))


@functools.cache
def issued(name: str, alternatives: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
    """A certificate of the CA of this test run, and its key; made once."""
    return authority().issue(name, alternatives)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def _folder(name: str) -> Path:
    _folders.append(tempfile.TemporaryDirectory(prefix=f"smlm_test_{name}_"))
    return Path(_folders[-1].name)
