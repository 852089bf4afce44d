"""``submit --error-map`` and ``--report``: files, numbers, metadata, and the same image."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.command_line import invoke, names, one_line, submit, take_for_local
from fakes.drifting_samples import film_adu
from fakes.image_files import described
from fakes.transports import ComputingTransport
from smlm_pipeline.film.formats.own_results import is_result, is_result_by_name
from smlm_pipeline.output.image_reading import read_image
from smlm_pipeline.submission import submit as submission


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    take_for_local(monkeypatch, ComputingTransport())
    frames_adu = film_adu("none", frames=40, edge_px=36)[:, :32]
    tifffile.imwrite(tmp_path / "film.tif", frames_adu, photometric="minisblack")
    return tmp_path / "film.tif"


def test_error_map(film: Path) -> None:
    done = submit(film, "--error-map", "--pixel-size-nm", "110", "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    found = facts["error_map"]
    assert found["rsp"] > 0.9
    assert found["adu_per_molecule"] > 0
    assert len(facts["checks"]) == 9
    assert facts["page"] == ""
    beside = ["error.tif", "ome.tif", "png", "widefield.tif"]
    assert names(film.parent) == ["film.sr." + name for name in beside] + ["film.tif"]
    for name in ("map", "wide_field"):
        image = read_image(Path(found[name]))
        assert image.sr_pixel_nm == pytest.approx(110)
        assert image.pixels.shape == (32, 36)
        assert described(Path(found[name]))["rsp"] == found["rsp"]
        assert is_result(Path(found[name]))
    wide = read_image(Path(found["wide_field"])).pixels
    frames_adu = tifffile.imread(film).astype(np.float64)
    mean = frames_adu.mean(axis=0)
    assert np.corrcoef(wide.ravel(), mean.ravel())[0, 1] > 0.9999
    assert np.ptp(wide) == pytest.approx(np.ptp(mean), rel=1e-3)
    stated = described(film.with_name("film.sr.ome.tif"))
    assert stated["error_map"]["map"] == "film.sr.error.tif"
    assert [check["name"] for check in stated["checks"]][:2] == [
        "agreement with the wide field",
        "density",
    ]


def test_the_image_stays_the_same(film: Path) -> None:
    assert submit(film, "--report", "--quiet").exit_code == 0
    assert submit(film, "-o", film.with_name("plain.tif"), "--quiet").exit_code == 0
    plain, image = (tifffile.imread(film.with_name(n)) for n in ("plain.tif", "film.sr.ome.tif"))
    np.testing.assert_array_equal(image, plain)
    assert "error_map" not in str(submit(film, "--overwrite").stdout)


def test_report_has_its_files_and_none_is_replaced_unasked(film: Path) -> None:
    text = submit(film, "--report").stdout
    assert "report   " in text
    assert re.search(r"\d of 9 checks ok(, \d (to look at|not checked))*; RSP 0\.9", text)
    page = film.with_name("film.sr.report.html")
    assert page.stat().st_size > 20_000
    assert is_result_by_name(page)
    film.with_name("film.sr.ome.tif").unlink()
    again = submit(film, "--report")
    assert again.exit_code == 7
    assert "exists; expected a new name" in one_line(again)
    assert submit(film, "--report", "--overwrite").exit_code == 0


def test_numbers_of_a_selected_part_are_those_of_the_file(film: Path) -> None:
    options = ("--frames", "10:40:3", "--report", "--quiet")
    assert submit(film, *options).exit_code == 0
    numbers = json.loads(film.with_name("film.sr.report.json").read_text())
    assert numbers["curves"]["molecules_over_time"]["frame"] == list(range(10, 40, 3))


def test_drift_is_left_in_what_is_compared(film: Path) -> None:
    drift = film.with_name("drift.csv")
    drift.write_text("frame,drift_x_nm,drift_y_nm\n0,0,0\n39,200,-100\n")
    done = submit(film, "--error-map", "--drift", drift, "--json")
    assert json.loads(done.stdout)["drift"]["corrected"]
    with_drift = json.loads(done.stdout)["error_map"]
    plain = json.loads(submit(film, "--error-map", "--overwrite", "--json").stdout)["error_map"]
    assert with_drift["rsp"] == plain["rsp"]


def test_an_interrupted_run_continues_to_the_same_numbers(film: Path) -> None:
    """Also the checkpoint of a run without the option is refused with words."""

    class Cut(ComputingTransport):
        def sum_chunk(self, request):  # type: ignore[no-untyped-def]
            if len(self.requests) == 6:
                raise KeyboardInterrupt
            return super().sum_chunk(request)

    options = ("--chunk-frames", "4", "--checkpoint-every-s", "0", "--in-flight", "1")
    whole = json.loads(submit(film, "--error-map", *options, "--json").stdout)["error_map"]
    with pytest.MonkeyPatch.context() as patched:
        take_for_local(patched, Cut())
        assert submit(film, "--error-map", *options, "--overwrite").exit_code == 130
    refused = submit(film, *options, "--resume")
    assert refused.exit_code != 0
    assert "wide_field.npy" in refused.stderr
    done = submit(film, "--error-map", *options, "--resume", "--json")
    assert done.exit_code == 0, done.stderr
    resumed = json.loads(done.stdout)["error_map"]
    assert {**resumed, "elapsed_s": 0} == {**whole, "elapsed_s": 0}


def test_timings_add_up_to_the_whole_run(film: Path) -> None:
    began_s = time.perf_counter()
    done = submit(film, "--report", "--molecules", film.with_name("t.csv"), "--json")
    passed_s = time.perf_counter() - began_s
    page = json.loads(film.with_name("film.sr.report.json").read_text())["report"]["timings_s"]
    whole = json.loads(done.stdout)["timings_s"]
    for timings in (page, whole):
        stages = {name: each for name, each in timings.items() if name != "whole run"}
        assert timings["whole run"] == pytest.approx(sum(stages.values()))
        assert {"opening", "starting", "surveying", "reconstructing", "writing"} < set(stages)
        assert {"comparing with the wide field", "writing the table"} < set(stages)
        assert "writing the report" in stages
    assert 0.5 * passed_s < page["whole run"] <= whole["whole run"] <= passed_s
    text = film.with_name("film.sr.report.html").read_text(encoding="utf-8")
    assert "whole run" in text


def test_python_and_batch(film: Path, tmp_path: Path) -> None:
    facts = submission.submit(film, tmp_path / "a.ome.tif", engine="local", page=True)
    assert Path(facts.page).is_file()
    assert facts.error_map is not None
    out = tmp_path / "out"
    done = invoke("batch", film, "-o", out, "--engine", "local", "--report", "--quiet")
    assert done.exit_code == 0, done.output
    assert (out / "film.sr.report.html").is_file()
