"""The calls that build plans are those of NVIDIA's real Python bindings, in three versions.

The bindings need TensorRT's libraries, which run nowhere without a GPU's driver and are not on
PyPI. To be imported they need nine functions of them, which a few lines of C stand for: nothing
can be built, but every class, method and argument is there to be compared with the stand-in that
the other tests build plans with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.places import ROOT

REQUIREMENTS = sorted((ROOT / "requirements").glob("tensorrt-*.txt"))

FUNCTIONS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL"),
    *("createInferRuntime_INTERNAL", "createNvOnnxParser_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "getBuilderPluginRegistry"),
    *("getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins"),
)
"""What the bindings take from the libraries."""

LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")


def _pinned(requirements: Path) -> str:
    (version,) = re.findall(r"^tensorrt-cu13-bindings==([\d.]+)", requirements.read_text(), re.M)
    return str(version)


VERSIONS = [_pinned(file) for file in REQUIREMENTS]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for each library of each major version."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is installed, which makes stand-ins for TensorRT's libraries")
    folder = tmp_path_factory.mktemp("libraries")
    source = folder / "functions.c"
    source.write_text("\n".join(f"void *{name}(void) {{ return 0; }}" for name in FUNCTIONS))
    for major in {version.split(".")[0] for version in VERSIONS}:
        for library in LIBRARIES:
            name = f"lib{library}.so.{major}"
            subprocess.run(
                [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", source, "-o", folder / name],
                check=True,
                timeout=60,
            )
    return folder


def _compared(version: str, libraries: Path) -> dict[str, Any]:
    """What ``fakes.tensorrt_names`` says of a version."""
    folder = Path(sys.prefix) / "tensorrt" / version
    if not folder.is_dir():
        pytest.skip(f"TensorRT's bindings {version} are not installed: make .venv/tensorrt")
    done = subprocess.run(
        [sys.executable, "-m", "fakes.tensorrt_names", folder],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(libraries),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_three_versions_are_pinned_of_both_majors() -> None:
    assert len(VERSIONS) == 3
    assert {version.split(".")[0] for version in VERSIONS} == {"10", "11"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_call_is_one_of_the_real_bindings(version: str, libraries: Path) -> None:
    found = _compared(version, libraries)
    assert found["version"] == version
    assert found["differences"] == []
    assert found["quoted"] == "mind; failed", "the logger is one of theirs"


@pytest.mark.parametrize("version", VERSIONS)
def test_types_are_those_of_the_file(version: str, libraries: Path) -> None:
    """TensorRT 10 has to be asked for that; 11 has no flag for a precision at all."""
    found = _compared(version, libraries)
    if version.startswith("10."):
        assert found["creation flags"] == 1 << 1
        assert {"FP16", "BF16", "INT8"} <= set(found["precision flags"])
    else:
        assert (found["creation flags"], found["precision flags"]) == (0, [])
