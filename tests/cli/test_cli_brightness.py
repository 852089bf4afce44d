"""``--brightness auto``: the scale is corrected, stated, and the same in parts and resumed runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke, submit, take_for_local
from fakes.films import spots_adu
from fakes.transports import ComputingTransport, is_look, molecules_apart
from smlm_pipeline.compute.brightness import STATED_SHARE, STATED_WHERE_ALIKE, scale_factor
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import InferenceError

IN_TURN = ("--chunk-frames", "10", "--in-flight", "1", "--checkpoint-every-s", "0")


class Unlike(ComputingTransport):
    """Shows molecules apart whose light differs by a factor of three; may fail at a frame."""

    failing = "none"

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        if not is_look(request):
            if request.label.startswith(self.failing):
                raise InferenceError("the server refused the chunk")
            return super().sum_chunk(request)
        table = molecules_apart(
            request.window, lambda count: np.where(np.arange(count) % 2, 3.0, 9.0)
        )
        return replace(super().sum_chunk(request), molecules=table)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, spots_adu(60, 64, 64), photometric="minisblack")
    return path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Unlike:
    transport = Unlike()
    take_for_local(monkeypatch, transport)
    return transport


def _report(film: Path, *options: str | Path) -> dict[str, Any]:
    result = submit(film, *IN_TURN, "--json", "--overwrite", *options)
    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_the_report_states_the_spread_and_the_scale(film: Path, engine: Unlike) -> None:
    plain = _report(film, "--brightness", "off")
    assert plain["brightness_spread"] is None
    assert not engine.looks
    looked = _report(film, "--brightness", "auto")  # the default: see `Settings`
    true = np.sqrt((np.log(3) ** 2 / 4 - STATED_WHERE_ALIKE) / STATED_SHARE)
    assert looked["brightness_spread"] == pytest.approx(true, abs=0.03)
    factor = scale_factor(looked["brightness_spread"])
    assert looked["scale_adu"] == pytest.approx(factor * plain["scale_adu"])
    assert looked["emitters"] > plain["emitters"]


def test_a_run_that_continues_does_not_look_again(film: Path, engine: Unlike) -> None:
    whole = _report(film, "--brightness", "auto")
    image = tifffile.imread(whole["image"])
    engine.failing = "frames 30 "
    asked = (*IN_TURN, "--brightness", "auto")
    assert submit(film, *asked, "--overwrite").exit_code == 6
    engine.failing = "none"
    engine.looks.clear()
    assert submit(film, *asked, "--resume").exit_code == 0
    assert not engine.looks
    np.testing.assert_array_equal(tifffile.imread(whole["image"]), image)


@pytest.mark.parametrize(("begun", "asked"), [("off", "auto"), ("auto", "off")])
def test_a_run_does_not_continue_with_another_scale(
    film: Path, engine: Unlike, begun: str, asked: str
) -> None:
    engine.failing = "frames 30 "
    assert submit(film, *IN_TURN, "--brightness", begun).exit_code == 6
    engine.failing = "none"
    refused = submit(film, *IN_TURN, "--brightness", asked, "--resume")
    assert refused.exit_code == 9
    assert "was begun with brightness spread" in refused.stderr


def test_parts_merge_to_the_image_of_one_run(film: Path, engine: Unlike) -> None:
    whole = _report(film, "--brightness", "auto")
    image = tifffile.imread(whole["image"])
    parts = [film.with_name(f"{number}.npz") for number in range(2)]
    for part, frames in zip(parts, ("0:30", "30:60"), strict=True):
        cut = ("--frames", frames, "--partial", part, "--brightness", "auto")
        assert submit(film, *IN_TURN, *cut).exit_code == 0
    assert engine.looks
    merged = film.with_name("merged.ome.tif")
    assert invoke("merge", *parts, "-o", merged, "-q").exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(merged), image)
    other = film.with_name("other.npz")
    assert submit(film, *IN_TURN, "--frames", "30:60", "--partial", other).exit_code == 0
    refused = invoke("merge", parts[0], other, "-o", merged, "-q")
    assert "brightness" in refused.stderr


def test_map_networks_are_not_asked(film: Path, engine: Unlike) -> None:
    asked = ("--brightness", "auto", "--model", "reconstruction_map")
    assert submit(film, *asked).exit_code == 0
    assert "expected off or auto" in submit(film, "--brightness", "yes").stderr
    assert not engine.looks
