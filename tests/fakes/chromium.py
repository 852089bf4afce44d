"""A page in a real headless Chromium, which reaches no network: what it shows and complains of."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000"),
    *("--enable-logging=stderr", "--log-level=0"),
)

_CONSOLE = re.compile(r"INFO:CONSOLE[^\]]*\] (.*)")


@dataclass(frozen=True)
class Chromium:
    """The browser, and the folder of its profile."""

    program: str
    profile: Path

    def run(self, page: Path, *options: str) -> tuple[str, list[str]]:
        """Standard output, and all lines of the console."""
        done = subprocess.run(
            [self.program, *_OPTIONS, f"--user-data-dir={self.profile}", *options, page.as_uri()],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout, _CONSOLE.findall(done.stderr)


def find_chromium(profile: Path) -> Chromium:
    """The browser of this machine, or a skipped test."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium (on Debian: apt-get install chromium)")
    return Chromium(program, profile)
