"""The house style, checked on the sources: rooms, size, names, docstrings and imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import TypeAlias

import pytest

from fakes.places import ROOT

CLIENT = sorted((ROOT / "pipeline").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))
MODELS = sorted((ROOT / "model_repository").rglob("*.py"))
SOURCES = [*CLIENT, *TRAINING, *MODELS]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

FILE_LINES_MAX, FILE_LINES_MEDIAN_MAX, SMALL_FILE_LINES = 400, 150, 40
FUNCTION_LINES_MAX, MODEL_LINES_MAX = 40, 50
SHORT_SHARE_MIN = 0.95

ROOMS = {
    *(
        "cli",
        "batch",
        "channels",
        "film",
        "run",
        "engines",
        "gate",
        "compute",
        "serving",
        "deploy",
        "localise",
        "output",
        "page",
        "parts",
        "drift",
        "refine",
        "registration",
        "resolution",
        "submission",
        "tables",
    ),
}
TOP_MODULES_MAX = 10

RECONSTRUCT_LINES_MAX = 60
INNER_IMPORTS_MAX = 12  # an extra for each of seven formats, three engines, SciPy, colour maps

CATCH_ALLS = {
    *("base", "common", "core", "general", "helper", "helpers", "lib", "manager", "misc", "shared"),
    *("stuff", "tools", "util", "utils"),
}

QUANTITIES = {
    *("delay", "distance", "duration", "interval", "length", "pause", "radius", "sigma", "size"),
    *("spacing", "timeout", "wavelength"),
}
"""A number called so has a unit, which its name should tell: ``size_px``, ``timeout_s``."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _lines(node: Function) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, Function))


def _public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Public functions and classes, with what is public in those classes."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, at its head or inside functions."""
    found = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _inner_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each import inside a function."""
    nodes = [node for function in _functions(path) for node in ast.walk(function)]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    return iter(sorted({(node.lineno, ast.unparse(node)) for node in imports}))


def _has_reason(path: Path, line: int) -> bool:
    """Whether a comment is beside a line, or on the line above it."""
    before, here = path.read_text(encoding="utf-8").splitlines()[line - 2 : line]
    return before.lstrip().startswith("#") or "#" in here


def _module(path: Path) -> str:
    """The name by which a file is imported."""
    room = next(folder for folder in ("pipeline", "training") if (ROOT / folder) in path.parents)
    return ".".join(path.relative_to(ROOT / room).with_suffix("").parts)


def _imported_modules(path: Path) -> set[str]:
    """Full names of all modules, and of what is taken from them, that a file imports."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _is_number(annotation: ast.expr | None) -> bool:
    """Whether ``int`` or ``float`` is what is annotated, or part of a union or of Annotated."""
    if isinstance(annotation, ast.Name):
        return annotation.id in {"int", "float"}
    if isinstance(annotation, ast.BinOp):
        return _is_number(annotation.left) or _is_number(annotation.right)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        parts = annotation.slice
        return isinstance(parts, ast.Tuple) and _is_number(parts.elts[0])
    return False


def test_there_are_sources() -> None:
    names = {path.name for path in SOURCES}
    assert names >= {"draw.py", "simulate.py", "model.py"}


def test_rooms_of_the_product() -> None:
    package = ROOT / "pipeline" / "smlm_pipeline"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    assert rooms == ROOMS
    assert len(modules) <= TOP_MODULES_MAX, modules


def test_half_of_the_files_are_shorter() -> None:
    lines = [
        len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCES
        if path.name != "__init__.py"
    ]
    assert median(lines) <= FILE_LINES_MEDIAN_MAX


def test_reconstruct_fits_a_screen() -> None:
    path = ROOT / "pipeline" / "smlm_pipeline" / "reconstruction.py"
    (reconstruct,) = [node for node in _functions(path) if node.name == "reconstruct"]
    assert _lines(reconstruct) <= RECONSTRUCT_LINES_MAX


def test_imports_are_at_the_head() -> None:
    inner = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        for line, text in _inner_imports(path)
    ]
    assert len(inner) <= INNER_IMPORTS_MAX, "\n".join(inner)


def test_an_import_inside_a_function_has_its_reason() -> None:
    unexplained = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        for line, text in _inner_imports(path)
        if not _has_reason(path, line)
    ]
    assert unexplained == []


def test_a_small_file_serves_more_than_one() -> None:
    """A file of few lines with a single importer is a part of that importer."""
    doors = {"app.py", "cli.py", "command.py", "__init__.py", "__main__.py"}
    imported = {path: _imported_modules(path) for path in SOURCES}
    small = [
        path
        for path in (*CLIENT, *TRAINING)
        if len(path.read_text(encoding="utf-8").splitlines()) < SMALL_FILE_LINES
        and path.name not in doors
        and sum(_module(path) in names for other, names in imported.items() if other != path) < 2
    ]
    assert [str(path.relative_to(ROOT)) for path in small] == []


def test_only_commands_know_the_terminal() -> None:
    below = [path for path in CLIENT if path.parent.name != "cli"]
    terminal = {path.name for path in below if _imported(path) & {"click", "rich", "typer"}}
    assert terminal == set()


@each_source
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


def test_files_of_tests_are_short() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS}
    assert [name for name, count in lines.items() if count > FILE_LINES_MAX] == []


def test_files_of_tests_have_names_of_their_own() -> None:
    """Pytest imports them by these names alone."""
    names = [path.name for path in TESTS if path.name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)


def test_functions_are_short() -> None:
    functions = [(path.name, node) for path in SOURCES for node in _functions(path)]
    long = [f"{file}: {node.name}" for file, node in functions if _lines(node) > FUNCTION_LINES_MAX]
    assert len(functions) > 100
    assert len(long) <= (1 - SHORT_SHARE_MIN) * len(functions), long


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parents[1].name)
def test_model_is_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MODEL_LINES_MAX
    allowed = {"json", "pathlib", "numpy", "triton_python_backend_utils", "smlm_pipeline"}
    assert _imported(path) <= allowed


@each_source
def test_what_is_public_has_a_docstring(path: Path) -> None:
    missing = [node.name for node in _public(_tree(path).body) if not ast.get_docstring(node)]
    assert ast.get_docstring(_tree(path)), "the module"
    assert missing == []


@each_source
def test_module_says_by_its_name_what_it_is(path: Path) -> None:
    assert path.stem.strip("_") not in CATCH_ALLS
    assert path.parent.name.strip("_") not in CATCH_ALLS


@each_source
def test_numbers_tell_their_unit(path: Path) -> None:
    bare = [
        f"{node.name}({argument.arg})"
        for node in _public(_tree(path).body)
        if not isinstance(node, ast.ClassDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if _is_number(argument.annotation) and argument.arg.split("_")[-1] in QUANTITIES
    ]
    assert bare == []


@each_source
def test_nothing_is_printed_but_by_the_commands(path: Path) -> None:
    """Typer's echo and rich's consoles are for the commands; a library is silent."""
    calls = [ast.unparse(node.func) for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)]
    assert "print" not in calls


@each_source
def test_inputs_are_not_checked_by_assert(path: Path) -> None:
    """``python -O`` drops them, and an AssertionError is no message for a user."""
    asserts = [node.lineno for node in ast.walk(_tree(path)) if isinstance(node, ast.Assert)]
    assert asserts == []


def test_one_module_of_the_client_speaks_to_triton() -> None:
    room = ROOT / "pipeline" / "smlm_pipeline" / "engines" / "triton"
    gate = ROOT / "pipeline" / "smlm_pipeline" / "gate"  # a program of its own, before a server
    speaking = [path for path in CLIENT if "tritonclient" in _imported(path)]
    of_gate = [gate / name for name in ("behind.py", "requests.py", "service.py")]
    assert speaking == [room / "transport.py", *of_gate]
    stub = ["stub_server.py"]  # of the benchmark, in a process of its own
    before_servers = ["behind.py", "calls.py", "certificates.py", "run.py", "service.py"]
    of_grpc = [path.name for path in SOURCES if "grpc" in _imported(path)]
    assert of_grpc == ["credentials.py", "transport.py", *before_servers, *stub]


def test_nothing_of_the_client_needs_training() -> None:
    training = {"keras", "tensorflow", "smlm_training"}
    assert [path.name for path in CLIENT if _imported(path) & training] == []


@pytest.mark.parametrize(
    "module",
    [
        *("contract", "run.chunking", "run.accumulate", "serving.respond", "serving.network"),
        *("serving.summation", "localise.chunk", "compute.draw", "engines.opening"),
    ],
)
def test_arithmetic_loads_nothing_heavy(module: str) -> None:
    """In the server every Python model is a process of its own, with its own imports.

    Only where detections are drawn Numba is needed; clients of a server run without it.
    """
    code = f"import sys, smlm_pipeline.{module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    heavy = {
        "grpc",
        "onnxruntime",
        "rich",
        "numba",
        "scipy",
        "tensorflow",
        "tifffile",
        "tritonclient",
    }
    assert "smlm_pipeline" in loaded
    if module in ("serving.summation", "localise.chunk", "compute.draw"):
        heavy -= {"numba", "scipy"}  # which Numba loads where it is installed
    if module == "engines.opening":
        heavy -= {"grpc", "tritonclient"}
    assert loaded.isdisjoint(heavy | {"PIL", "keras", "typer"})
