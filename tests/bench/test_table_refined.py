"""The client's own image, plain and refined, as methods of ``recon-bench table``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from fakes.table_command import table, write_compared_film
from smlm_bench.networks.client import ClientNetwork
from smlm_pipeline.cli.app import app
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.simulation.film_files import FILM

pytestmark = pytest.mark.training

NAMES = ["unet-fast@local", "unet-fast+refine@local"]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compared_film(tmp_path_factory.mktemp("film"), frames=60)


def test_the_refined_row_is_what_submit_writes(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--methods", ",".join(NAMES), "--repeats", "1", "-o", tmp_path / "table"]
    assert (done := table(film, *words)).exit_code == 0, done.output
    told = json.loads((tmp_path / "table" / "table.json").read_text())
    plain, refined = told["rows"]
    assert [plain["method"], refined["method"]] == NAMES
    assert refined["image"]["nmse_percent"][0] < plain["image"]["nmse_percent"][0]
    assert refined["image"]["sum_ratio"] == pytest.approx(plain["image"]["sum_ratio"], rel=1e-4)
    assert plain["remark"] == ""
    assert " steps of refinement, stopped by likelihood; it took " in refined["remark"]
    markdown = (tmp_path / "table" / "table.md").read_text()
    assert f"{NAMES[0]} and {NAMES[1]} are the client's whole path" in markdown
    assert f"{NAMES[1]}: {refined['remark']}." in markdown

    (kept,) = (tmp_path / "table" / "methods").glob("unet-fast+refine@local-*.npz")
    image = tmp_path / "out.sr.ome.tif"
    command = ["submit", str(film / FILM), "--engine", "local", "--model", "reconstruction_fast"]
    submitted = CliRunner().invoke(app, [*command, "--refine", "auto", "-o", str(image)])
    assert submitted.exit_code == 0, submitted.output
    expected = tifffile.imread(image, series=0)
    np.testing.assert_allclose(np.load(kept)["image"], expected, rtol=1e-4, atol=1e-6)

    monkeypatch.setattr(ClientNetwork, "reconstruct", lambda *_: pytest.fail("done again"))
    assert table(film, *words).exit_code == 0
    again = json.loads((tmp_path / "table" / "table.json").read_text())["rows"]
    assert again == told["rows"]


def test_a_network_of_another_place_is_not_refined(film: Path, tmp_path: Path) -> None:
    """Its precision classes are not known."""
    given = network_file(find_model_repository(), "unet_fast")
    words = ["--methods", NAMES[1], "--network", f"unet-fast={given}", "-o", tmp_path]
    done = table(film, *words)
    assert done.exit_code == 2
    assert "needs the network of the model repository, with its card" in done.stderr
