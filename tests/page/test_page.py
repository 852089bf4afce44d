"""The report as a page: complete, of one file, and of no address of the outside."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke, submit, take_for_local
from fakes.drifting_samples import film_adu
from fakes.transports import ComputingTransport
from smlm_pipeline.cli.json_output import REPORT_SCHEMA_FILE
from smlm_pipeline.page.numbers import SCHEMA_VERSION

SCHEMA = json.loads(REPORT_SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

NAME = "<b>cell</b> & 'x'.tif"


def _film(folder: Path, kind: str, frames: int = 80) -> Path:
    path = folder / NAME.replace("/", "")
    tifffile.imwrite(path, film_adu(kind, frames=frames), photometric="minisblack")
    return path


def _page(film: Path, *options: str) -> tuple[str, dict[str, object]]:
    done = submit(film, "-o", film.with_name("x.ome.tif"), "--report", "--overwrite", *options)
    assert done.exit_code == 0, done.stderr
    numbers = json.loads(film.with_name("x.report.json").read_text())
    VALIDATOR.validate(numbers)
    return film.with_name("x.report.html").read_text(encoding="utf-8"), numbers


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    take_for_local(monkeypatch, ComputingTransport())
    return _film(tmp_path, "none")


class _Parsed(HTMLParser):
    """Open tags that were never closed, and all addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in {"meta", "link", "img", "input", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_one_file_that_needs_no_other(film: Path) -> None:
    page, _ = _page(film)
    parsed = _Parsed(page)
    assert parsed.open == []
    assert len(parsed.addresses) == 8  # icon; image and wide field, twice; three maps
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page
    assert "<b>cell</b>" not in page
    assert "&lt;b&gt;cell&lt;" in page


def test_what_was_not_asked_for_says_how_to_get_it(film: Path) -> None:
    page, numbers = _page(film)
    for option in ("--resolution", "--drift auto", "--molecules FILE.csv"):
        assert f"<code>{option}</code> makes" in page
    curves = numbers["curves"]
    assert isinstance(curves, dict)
    assert (curves["ring_correlation"], curves["drift"], numbers["histograms"]) == (None, None, {})
    assert len(curves["molecules_over_time"]["frame"]) > 0


def test_all_sections(film: Path, tmp_path: Path) -> None:
    _film(tmp_path, "linear", 200)
    table = str(tmp_path / "table.csv")
    options = ("--molecules", table, "--resolution", "--drift", "auto", "--refine", "3")
    page, numbers = _page(film, *options, "--gain-adu-per-photon", "2")
    assert 'class="absent"' not in page
    for words in (
        "Fourier ring correlation",
        "A drift of ",
        "standard error",
        "Light of a molecule",
        "in 3 steps",
    ):
        assert words in page
    report, histograms = numbers["report"], numbers["histograms"]
    assert isinstance(report, dict)
    assert isinstance(histograms, dict)
    assert numbers["schema_version"] == SCHEMA_VERSION
    assert histograms["light"]["unit"] == "photons"
    assert sum(histograms["molecules_per_frame"]["counts"]) == pytest.approx(200, abs=2)
    rows = report["molecules"]["rows"]
    assert sum(histograms["uncertainty"]["counts"]) == pytest.approx(2 * rows, rel=0.02)
    lines = np.loadtxt(table, delimiter=",", skiprows=1)
    assert histograms["molecules_per_frame"]["median"] == pytest.approx(
        np.median(np.bincount(lines[:, 1].astype(int))), abs=1
    )


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("linear", (), "the sample moved"),
        ("none", (), None),
        ("none", ("--drift", "auto"), "so the image is not corrected"),
    ],
)
def test_page_and_notes_state_drift_alike(
    film: Path, tmp_path: Path, kind: str, options: tuple[str, ...], words: str | None
) -> None:
    _film(tmp_path, kind, 300)
    page, numbers = _page(film, *options)
    notes, stated = numbers["report"]["notes"], numbers["drift_words"]  # type: ignore[index]
    assert [note for note in notes if "sample" in note or "image is not" in note] == stated
    section = page[page.index("<h2>Drift</h2>") :].split("</section>")[0]
    assert ("makes the drift" in section) == (not stated)
    assert len(stated) == int(words is not None)
    for sentence in stated:
        assert words is not None
        assert words in sentence
        assert sentence[1:] in section


def test_a_film_without_molecules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_for_local(monkeypatch, ComputingTransport())
    path = tmp_path / "dark.tif"
    tifffile.imwrite(path, np.full((20, 16, 24), 100, np.uint16), photometric="minisblack")
    table = str(tmp_path / "t.csv")
    page, numbers = _page(path, "--molecules", table, "--resolution", "--drift", "auto")
    assert "found no emitter at all" in page
    assert "Too few molecules to state one." in page
    report = numbers["report"]
    assert isinstance(report, dict)
    assert report["error_map"]["sigma_px"] is None


def test_schema_is_printed() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert json.loads(invoke("schema", "--report").stdout) == SCHEMA
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
