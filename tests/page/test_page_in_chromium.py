"""The page in a real browser without a network: no complaint, a slider that moves, and print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakes.chromium import Chromium, find_chromium
from fakes.command_line import submit, take_for_local
from fakes.drifting_samples import film_adu
from fakes.transports import ComputingTransport

WIDTH_PX, HEIGHT_PX = 1200, 5000


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    return find_chromium(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def page(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    tifffile.imwrite(folder / "f.tif", film_adu("none", frames=80), photometric="minisblack")
    with pytest.MonkeyPatch.context() as patched:
        take_for_local(patched, ComputingTransport())
        options = ("--report", "--resolution", "--molecules", folder / "t.csv")
        done = submit(folder / "f.tif", *options)
    assert done.exit_code == 0, done.stderr
    return folder / "f.sr.report.html"


def test_it_is_shown_without_a_complaint(chromium: Chromium, page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    _, console = chromium.run(page, f"--screenshot={shot}", f"--window-size={WIDTH_PX},{HEIGHT_PX}")
    assert console == []
    with Image.open(shot) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.int64)
    assert pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
    dark, white = (pixels.max(axis=2) < 90).mean(), (pixels.min(axis=2) > 250).mean()
    assert dark > 0.1  # pictures, and text on ...
    assert white > 0.4
    blue = (np.abs(pixels - (0, 0x5A, 0xB5)).max(axis=2) < 12).sum()
    assert blue > 2000  # bars and curves


def test_the_script_runs_and_moves_the_slider(
    chromium: Chromium, page: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.html"
    script = (
        "const range = document.querySelector('.slider input'); range.value = 20;"
        "range.dispatchEvent(new Event('input'));"
    )
    text = page.read_text(encoding="utf-8")
    moved.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    dom, console = chromium.run(moved, "--dump-dom")
    assert console == []
    assert '<html lang="en" class="js">' in dom
    assert 'class="stage" style="--at: 20%;"' in dom


def test_a_complaint_would_be_noticed(chromium: Chromium, page: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    text = page.read_text(encoding="utf-8")
    outside = '<img src="https://example.org/x.png"><script>nothing.there()</script></body>'
    wrong.write_text(text.replace("</body>", outside))
    _, console = chromium.run(wrong, "--dump-dom")
    assert len(console) == 2
    assert any("Content Security Policy" in line for line in console)
    assert any("nothing is not defined" in line for line in console)


def test_it_prints(chromium: Chromium, page: Path, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    _, console = chromium.run(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert console == []
    content = paper.read_bytes()
    assert content.startswith(b"%PDF-")
    assert 2 <= content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") <= 9
