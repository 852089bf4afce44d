"""The public benchmark: its films, its measure, its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("scipy")
pytest.importorskip("onnxruntime")

from smlm_bench.cli import app
from smlm_bench.nairr.films import (
    BACKGROUND_PHOTONS,
    DENSITIES,
    PHOTONS,
    benchmark_film,
    circle_px,
    shining,
)
from smlm_bench.nairr.score import rmsmd_nm
from smlm_bench.nairr.table import COLUMNS


def test_emitters_are_on_a_circle_about_the_middle_at_their_distance() -> None:
    for density in DENSITIES.values():
        places_nm = 100 * circle_px(density.gap_nm)
        assert len(places_nm) == 200
        gaps_nm = np.hypot(*np.diff(places_nm, axis=0).T)
        assert gaps_nm == pytest.approx(density.gap_nm, rel=1e-3)
        assert places_nm.mean(axis=0) == pytest.approx([3200, 3200])
    published_nm = 5746.58381224002  # x of the first emitter of 2DGauss_LD
    assert 100 * circle_px(DENSITIES["LD"].gap_nm)[0, 1] == pytest.approx(published_nm, abs=0.2)


@pytest.mark.parametrize(("name", "published"), [("LD", 3895), ("MD", 8900), ("HD", 9600)])
def test_emitters_shine_as_often_as_in_the_published_tables(name: str, published: int) -> None:
    counts = [
        int(shining(np.random.default_rng(seed), DENSITIES[name], 1000).sum()) for seed in range(8)
    ]
    assert np.mean(counts) == pytest.approx(published, rel=0.08)


def test_an_emitter_shines_for_its_mean_time() -> None:
    for density in DENSITIES.values():
        shines = shining(np.random.default_rng(1), density, 4000)
        blinks = (~shines[:-1] & shines[1:]).sum() + shines[0].sum()
        expected = 1 / (1 - np.exp(-0.01 / density.bright_s))
        assert shines.sum() / blinks == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("psf", ["2DGauss", "2DAiry"])
def test_frames_have_the_light_offset_and_noise_of_the_benchmark(psf: str) -> None:
    film = benchmark_film(psf, "LD", frames=60, seed=3)
    frames = film.frames_adu.astype(float)
    corner = frames[:, :6, :6]
    assert corner.mean() == pytest.approx(500 + BACKGROUND_PHOTONS, abs=10)
    assert corner.var() == pytest.approx(BACKGROUND_PHOTONS + 300, rel=0.15)
    light = frames.sum() - 1000 * frames.size
    assert light == pytest.approx(PHOTONS * film.shining, rel=0.15)
    assert np.array_equal(film.frames_adu, benchmark_film(psf, "LD", frames=60, seed=3).frames_adu)


def test_rmsmd_is_the_distance_to_the_nearest_averaged_over_both_sets() -> None:
    true = np.array([[0.0, 0.0], [0.0, 100.0]])
    assert rmsmd_nm(true, true) == 0
    assert rmsmd_nm(np.array([[0.0, 3.0], [4.0, 100.0]]), true) == pytest.approx(
        np.sqrt((9 + 16 + 9 + 16) / 4)
    )
    # A missing emitter counts by its distance to the nearest estimate, a false one likewise.
    assert rmsmd_nm(np.array([[0.0, 0.0]]), true) == pytest.approx(np.sqrt(100**2 / 3))
    assert rmsmd_nm(np.vstack([true, [[0.0, 500.0]]]), true) == pytest.approx(np.sqrt(400**2 / 5))
    assert rmsmd_nm(np.zeros((0, 2)), true) == np.inf


def test_the_command_puts_the_network_beside_the_published_rows(tmp_path: Path) -> None:
    options = ["nairr", "--network", "unet_fast", "--frames", "40", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    films = json.loads((tmp_path / "nairr.json").read_text())["films"]
    assert tuple(film["column"] for film in films) == COLUMNS
    assert 0.8 < films[0]["found"] / films[0]["shining"] < 1.2
    lines = (tmp_path / "nairr.md").read_text().splitlines()
    assert lines[0] == f"| RMSMD, nm | {' | '.join(COLUMNS)} |"
    assert lines[2].startswith(f"| **unet_fast** | **{films[0]['rmsmd_nm']:.2f}** |")
    assert "| FSIC | 15.12 | 14.32 | 10.58 | 20.05 | 18.47 | 15.07 |" in lines


def test_networks_that_answer_with_maps_are_refused(tmp_path: Path) -> None:
    options = ["nairr", "--network", "unet_map", "--frames", "40", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 2
    assert "no molecules; expected one that answers with detections" in " ".join(
        result.output.split()
    )
