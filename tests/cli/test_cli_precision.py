"""``--precision``: what it changes, where it is stated, and what it is refused for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tifffile
from typer.testing import CliRunner

from fakes.command_line import invoke, one_line, submit, write_film
from fakes.image_files import described
from fakes.real_servers import short_lived
from smlm_pipeline import contract
from smlm_pipeline.cli.app import app
from smlm_pipeline.compute import openvino_network
from smlm_pipeline.compute.processor import has_bf16
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import open_engine
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import PRECISION_VARIABLE, PRECISIONS, Settings

FAST = "bf16" if has_bf16() else "f32"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.tif")


def _report(film: Path, *more: str) -> Any:
    result = submit(film, "--json", "--overwrite", *more)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_report_and_metadata_state_the_computation(film: Path, precision: str) -> None:
    report = _report(film, "--precision", precision)
    assert report["engine"] == "OpenVINO in this process"
    assert report["network_engine"].startswith("OpenVINO 20")
    assert report["precision"] == (FAST if precision == "bf16" else "f32")
    assert report["processor"]
    stated = described(Path(report["image"]))
    for name in ("network_engine", "precision", "processor"):
        assert stated[name] == report[name]


def test_the_faster_precision_is_the_default(film: Path) -> None:
    assert _report(film)["precision"] == FAST
    assert f"OpenVINO in this process in {FAST}" in submit(film, "--overwrite").stdout


def test_the_python_api_takes_it(film: Path) -> None:
    with pytest.raises(SettingError, match="precision is 'fp16'; expected bf16 or f32"):
        Settings(precision="fp16")
    with open_engine("local", "reconstruction", timeout_s=9, precision="f32") as engine:
        assert engine.network_engine.precision == "f32"


def test_onnx_runtime_in_its_place_is_noted(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(openvino_network, "OpenvinoNetwork", fail)
    report = _report(film)
    assert report["engine"] == "ONNX Runtime in this process"
    assert report["precision"] == "f32"
    expected = "OpenVINO failed (no kernel); ONNX Runtime computes the network, in float32"
    assert expected in report["notes"]
    assert expected in submit(film, "--overwrite").stderr


@pytest.mark.parametrize("engine", ["127.0.0.1:9", "transport"])
def test_an_engine_that_runs_has_its_own(engine: str) -> None:
    taken: Any = engine if engine != "transport" else object()
    with pytest.raises(SettingError, match="is asked of an engine that runs already; leave out"):
        open_engine(taken, "reconstruction", timeout_s=9, precision="f32")


def test_a_server_that_runs_has_its_own(film: Path) -> None:
    line = one_line(invoke("submit", film, "--precision", "f32", server="127.0.0.1:9"))
    assert "leave out --precision, or start the server with it" in line


@pytest.mark.skipif(FAST == "f32", reason="this processor has no bfloat16")
def test_a_run_continues_in_its_precision_only(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("smlm_pipeline.output.ome_tiff.write_image", stop)
        assert submit(film, "--precision", "f32").exit_code != 0
    line = one_line(submit(film, "--precision", "bf16", "--resume"))
    assert "was begun with precision f32, this run has bf16; use the same, or start over" in line
    assert submit(film, "--precision", "f32", "--resume").exit_code == 0


@pytest.mark.triton
@pytest.mark.parametrize("precision", [None, "f32"])
def test_an_embedded_server_states_it(
    small_repository: Path, monkeypatch: pytest.MonkeyPatch, precision: str | None
) -> None:
    """The environment of the client says nothing to it."""
    monkeypatch.setenv(PRECISION_VARIABLE, "f32")
    with short_lived(EmbeddedServer(small_repository, precision=precision)) as server:
        engine = server.network_engine(contract.UNET.name)
    assert (engine.name, engine.precision) == ("OpenVINO", precision or FAST)


@pytest.mark.triton
def test_the_embedded_server_computes_what_this_process_does(
    film: Path, small_repository: Path
) -> None:
    """In both precisions, which differ."""
    images = {}
    for precision in PRECISIONS:
        chosen = ("--precision", precision, "--overwrite", "--model-repository", small_repository)
        words = [str(each) for each in ("submit", film, "--json", "--brightness", "off", *chosen)]
        through = CliRunner().invoke(app, words)
        assert through.exit_code == 0, through.output
        served = json.loads(through.stdout)
        images["triton", precision] = tifffile.imread(served["image"])
        here = _report(film, *map(str, chosen))
        images["local", precision] = tifffile.imread(here["image"])
        for name in ("network_engine", "precision", "processor"):
            assert served[name] == here[name]
        assert (images["triton", precision] == images["local", precision]).all()
    if FAST == "bf16":
        assert (images["local", "bf16"] != images["local", "f32"]).any()
