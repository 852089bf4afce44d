"""The documentation: links resolve, names exist, numbers agree with their data."""

from __future__ import annotations

import ast
import importlib
import json
import re
from functools import cache
from pathlib import Path

import pytest

import smlm_pipeline
from fakes.places import ROOT
from smlm_pipeline import contract

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
MEASUREMENTS = DOCS / "measurements"
PACKAGES = {
    "smlm_pipeline": ROOT / "pipeline",
    "smlm_training": ROOT / "training",
    "smlm_bench": ROOT / "training",
}

README_WORDS_MAX, LINE_CHARACTERS_MAX, READING_ORDER_MAX = 600, 100, 12

STALE = {
    *("stack.open_stack", "kernels.py", "device_kernels", "reconstruct.py", "door.py", "losses.py"),
    *("smlm_training.comparison", "smlm_pipeline.io", "smlm_pipeline.kernels"),
    *("smlm_pipeline.plans", "smlm_pipeline.sizing", "smlm_pipeline.staging", "docs/gpu.md"),
    *("benchmarks.md", "docs/speed.json", "docs/table.json", "docs/frontier.json"),
    *("film_reading", "served_steps", "served_network", "ledger"),
}
"""Names before the rooms. The changelog alone may state what they became."""

WORDS = {
    *("fine pixel", "the seed's", "seed paper", "anew", "whoever", "what there is", "of its own"),
    *("goes on", "is told", "are told", "stands in", "lies in", "lies beside"),
}
"""Phrases that a plainer word replaces; see CONTRIBUTING.md."""

SOURCE_FOLDERS = ("docs", "docker", "model_repository", "pipeline", "requirements", "tests")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    """A page without its fenced code."""
    return re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)


def _code(page: Path) -> list[str]:
    """What is set as code, in a line or in a block."""
    return [*re.findall(r"`([^`\n]+)`", _prose(page)), *_blocks(page, r"\w*")]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _text(page), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def _section(page: Path, heading: str) -> str:
    (section,) = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", _text(page), flags=re.DOTALL | re.MULTILINE
    )
    return str(section)


def test_readme_is_short() -> None:
    assert len(_text(README).split()) <= README_WORDS_MAX


def test_readme_leads_to_every_page() -> None:
    for page in DOCS.rglob("*.md"):
        if page.parent != MEASUREMENTS or page.name == "README.md":
            assert f"({page.relative_to(ROOT)}" in _text(README), page
    for page in MEASUREMENTS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in _text(MEASUREMENTS / "README.md")


@each_page
def test_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", _prose(page))
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


@each_page
def test_lines_are_wrapped(page: Path) -> None:
    long = [
        line
        for line in _prose(page).splitlines()
        if len(line) > LINE_CHARACTERS_MAX
        and not line.startswith("|")
        and " " in re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)|https?://\S+", "", line.strip("-. 123456"))
    ]
    assert long == []


@each_page
def test_no_name_is_stale(page: Path) -> None:
    if page.name != "CHANGELOG.md":
        assert [name for name in STALE if name in _text(page)] == []


@each_page
def test_words_are_plain(page: Path) -> None:
    if page.name == "cli.md":  # the words of the programs' help, which other tests hold
        return
    text = " ".join(_prose(page).lower().split())
    assert [phrase for phrase in WORDS if re.search(rf"\b{phrase}\b", text)] == []


def _module_of(name: str) -> tuple[Path, list[str]] | None:
    """File of the longest module in a dotted name, and the rest of the name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = PACKAGES[parts[0]].joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file, parts[length:]
    return None


def _defines(file: Path, name: str) -> bool:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return name in names | {getattr(node, "name", "") for node in tree.body} | set(_public())


def _public() -> list[str]:
    return list(getattr(smlm_pipeline, "__all__", []))


@each_page
def test_modules_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    pattern = r"\b(smlm_(?:pipeline|training|bench)(?:\.\w+)*)"
    for name in {name for code in _code(page) for name in re.findall(pattern, code)}:
        module = _module_of(name)
        assert module is not None, name
        file, rest = module
        assert not rest or (len(rest) == 1 and _defines(file, rest[0])), name


@each_page
def test_paths_exist(page: Path) -> None:
    paths = {
        word
        for code in re.findall(r"`([^`\n]+)`", _prose(page))
        for word in code.split()
        if word.startswith(tuple(f"{folder}/" for folder in SOURCE_FOLDERS))
    }
    made = re.compile(r"model\.plan$")  # by a GPU
    assert [path for path in paths if not made.search(path) and not any(ROOT.glob(path))] == []


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = {name for code in _code(page) for name in re.findall(r"\bmake ([\w./-]+)", code)}
    assert named <= set(targets)


def test_python_example_uses_public_names() -> None:
    (example,) = _blocks(README, "python")
    used = set(re.findall(r"\brecon\.(\w+)", example))
    assert used
    assert used <= set(_public())
    assert len([line for line in example.splitlines() if line]) <= 6


def test_stages_of_the_data_path_can_be_imported() -> None:
    stages = re.findall(
        r"\| `(smlm_pipeline\.[\w.]+)`", _section(DOCS / "architecture.md", "The data path")
    )
    assert len(stages) == 10
    for stage in stages:
        module, name = stage.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name)


def test_ensembles_are_those_of_the_contract() -> None:
    table = _section(DOCS / "architecture.md", "Ensembles")
    assert set(re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE)) == set(contract.ENSEMBLES)
    assert f"has version {contract.CONTRACT_VERSION}." in " ".join(table.split())


def test_rooms_are_the_packages() -> None:
    table = _section(DOCS / "architecture.md", "The rooms")
    rooms = set(re.findall(r"^\| `(smlm_\w+(?:\.\w+)?)`", table, flags=re.MULTILINE))
    packages = (ROOT / "pipeline/smlm_pipeline").glob("*/__init__.py")
    product = {f"smlm_pipeline.{package.parent.name}" for package in packages}
    assert rooms == product | {"smlm_training", "smlm_bench"}
    drawing = (DOCS / "images/rooms.svg").read_text()
    assert [room for room in rooms if f">{room.split('.')[-1]}<" not in drawing] == []


def test_layers_are_those_of_the_import_contract() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    declared = project.split("layers of the product", 1)[1].split("[[", 1)[0]
    layers = [
        line.replace("smlm_pipeline.", "").split(" | ")
        for line in re.findall(r'^  "(.+)",$', declared, flags=re.MULTILINE)
    ]
    text = " ".join(_section(DOCS / "architecture.md", "Imports").split())
    (described,) = re.findall(r"layers: (.+?)\. 3\.", text)
    assert [re.findall(r"`(\w+)`", layer) for layer in described.split(" > ")] == layers
    assert len(layers) <= 11


def test_reading_order_is_short() -> None:
    order = _section(DOCS / "architecture.md", "Reading order")
    assert 1 <= len(re.findall(r"^\d+\. ", order, flags=re.MULTILINE)) <= READING_ORDER_MAX


def test_every_measurement_has_a_command() -> None:
    index = _text(MEASUREMENTS / "README.md")
    for page in MEASUREMENTS.glob("*.md"):
        assert page.name == "README.md" or re.search(r"^```", _text(page), flags=re.MULTILINE)
    for data in MEASUREMENTS.glob("*.json"):
        assert f"({data.name})" in index
        assert json.loads(data.read_text())


def test_speed_of_the_readme_is_measured() -> None:
    speeds = json.loads((MEASUREMENTS / "speed.json").read_text())["speeds"]

    def fastest_ms(network: str, engine: str) -> float:
        return min(
            float(speed["ms_per_frame"]["median"])
            for speed in speeds
            if (speed["network"], speed["engine"], speed["size_px"]) == (network, engine, 64)
        )

    triton, peer = fastest_ms("unet", "Triton"), fastest_ms("deep-storm", "Keras")
    text = " ".join(_text(README).split())
    assert f"**{triton:.1f} ms** a frame of 64 x 64 pixels" in text
    assert f"{peer / triton:.0f} times as fast as Deep-STORM's layers" in text


def test_errors_of_the_readme_are_measured() -> None:
    rows = json.loads((MEASUREMENTS / "table-long-waves.json").read_text())["rows"]
    errors = {row["method"]: f"{row['image']['nmse_percent'][1]:.1f} %" for row in rows}
    text = " ".join(_text(README).split())
    assert f"**{errors['unet+refine@local']}** error" in text
    others = [errors[name] for name in ("falcon", "deep-storm@onnx", "picasso")]
    assert "FALCON has {}, Deep-STORM {} and Picasso {}".format(*others) in text
