"""Picasso as a method: messages to another Python and back, and what it finds if it is there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install .[bench]")
pytest.importorskip("pywt", reason="PyWavelets is not installed: pip install .[bench]")

from fakes.picasso import write_stand_in
from fakes.places import ROOT
from fakes.table_command import table, write_compared_film
from smlm_bench.baselines.picasso import process
from smlm_bench.baselines.picasso.method import (
    Picasso,
    PicassoSettings,
    net_gradient,
    worker_argument,
)
from smlm_bench.baselines.picasso.process import PicassoProcess, find_python
from smlm_bench.catalogue import Sources
from smlm_bench.choice import choose
from smlm_bench.method import FilmFacts
from smlm_pipeline.errors import SettingError
from smlm_training.simulation.simulate import Emitters, expected_photons

HERE = Path(sys.executable)
REAL = Path(os.environ.get("RECON_READERS_PYTHON", ROOT / ".venv-readers/bin/python"))

FACTS = FilmFacts(
    shape_px=(24, 32),
    pixel_size_nm=100.0,
    sigma_px=1.1,
    molecule_photons=5000.0,
    adu_per_photon=2.0,
    offset_adu=100.0,
    excess_noise=1.0,
    levels_adu=np.array([140, 1000], np.float32),
)
SETTINGS = PicassoSettings()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, where every Python that is started finds it."""
    folder = write_stand_in(tmp_path / "packages")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")


@pytest.fixture(scope="module")
def real() -> Iterator[Picasso]:
    """Picasso itself, whose start takes half a minute."""
    if not REAL.exists():
        pytest.skip("needs Picasso: make readers, or a Python in RECON_READERS_PYTHON")
    with PicassoProcess(REAL, worker_argument(FACTS, SETTINGS)) as running:
        yield Picasso(running, FACTS, SETTINGS)


def _frames(places_px: list[tuple[float, float] | None], seed: int = 3) -> NDArray[np.uint16]:
    """A frame of each molecule of 5000 photons at y and x, or of none, with shot noise."""
    rng = np.random.default_rng(seed)
    frames = []
    for place_px in places_px:
        mean = np.full((1, *FACTS.shape_px), 20.0)
        if place_px is not None:
            one = [np.array([[value]]) for value in (*place_px, FACTS.molecule_photons, 1.1)]
            mean += expected_photons(Emitters(*one), *FACTS.shape_px)
        frames.append(rng.poisson(mean))
    frames_adu: NDArray[np.uint16] = (2 * np.concatenate(frames) + 100).astype(np.uint16)
    return frames_adu


@pytest.mark.usefixtures("stand_in")
def test_frames_go_out_and_molecules_come_back() -> None:
    frames = _frames([(12.3, 15.6), None, (20.4, 29.6)])
    with PicassoProcess(HERE, worker_argument(FACTS, SETTINGS)) as running:
        method = Picasso(running, FACTS, SETTINGS)
        first, second = method.reconstruct(frames), method.reconstruct(frames[2:])
    assert first.molecules is not None
    assert first.molecules.frame.tolist() == [0, 2]
    np.testing.assert_allclose(first.molecules.y_nm, [1250, 2050])
    np.testing.assert_allclose(first.molecules.x_nm, [1550, 2950])
    assert np.argwhere(first.image).tolist() == [[100, 124], [164, 236]]
    assert second.molecules is not None
    assert second.molecules.frame.tolist() == [0]
    assert method.parameters["picassosr"] == "0.11.3"
    assert method.parameters["Box Size"] == 5


def test_the_threshold_is_a_share_of_a_typical_molecule() -> None:
    mean = 2 * _molecule_of_one_photon()
    stated = worker_argument(FACTS, SETTINGS)["parameters"]["Min. Net Gradient"]
    assert stated == pytest.approx(0.2 * 5000 * _net_gradient(mean, 5), rel=0.01)
    assert net_gradient(7, 1.1) == pytest.approx(_net_gradient(mean, 7) / 2, rel=0.01)
    assert [SETTINGS.box_px(sigma_px) for sigma_px in (0.8, 1.1, 1.5, 2.2)] == [5, 5, 7, 9]


def _molecule_of_one_photon() -> NDArray[np.float64]:
    one = [np.array([[value]]) for value in (12.5, 16.5, 1.0, 1.1)]
    photons: NDArray[np.float64] = expected_photons(Emitters(*one), *FACTS.shape_px)[0]
    return photons


def _net_gradient(frame: NDArray[np.float64], box_px: int) -> float:
    """The same pixel by pixel, as Picasso's identification adds it up."""
    total, half = 0.0, box_px // 2
    for y in range(-half, half + 1):
        for x in range(-half, half + 1):
            if y or x:
                row, column = 12 + y, 16 + x
                along_y = frame[row + 1, column] - frame[row - 1, column]
                along_x = frame[row, column + 1] - frame[row, column - 1]
                total -= (along_y * y + along_x * x) / np.hypot(y, x)
    return float(total)


@pytest.mark.usefixtures("stand_in")
def test_a_row_of_the_table(tmp_path: Path) -> None:
    film = write_compared_film(tmp_path / "film")
    words = ["--methods", "blank,picasso", "--picasso-python", HERE, "--repeats", "1"]
    done = table(film, *words, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    row = json.loads((tmp_path / "out" / "table.json").read_text())["rows"][1]
    assert row["parameters"]["fitting_method"] == "gaussmle-spherical"
    assert row["parameters"]["picassosr"] == "0.11.3"
    assert row["rmse_nm"] < 125
    assert row["image"]["sum_ratio"] > 0
    assert row["passes"] == 1


def test_a_picasso_that_fails_is_told_by_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = write_stand_in(tmp_path, failure="raise ValueError('no such fit')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(SettingError, match=r"has failed \(ValueError: no such fit\); expected"):
        PicassoProcess(HERE, worker_argument(FACTS, SETTINGS))


@pytest.mark.usefixtures("stand_in")
def test_a_picasso_that_ends_later_is_told_too() -> None:
    with PicassoProcess(HERE, worker_argument(FACTS, SETTINGS)) as running:
        with pytest.raises(SettingError, match="has failed"):
            running.localise(np.zeros((3, 4, 5, 6), np.uint16))
        with pytest.raises(SettingError, match="has failed"):
            running.localise(np.zeros((3, 40, 50), np.uint16))


@pytest.mark.usefixtures("absent")
def test_without_picasso_the_row_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PLACES", (tmp_path / "no-python",))
    with pytest.raises(SettingError, match=r"neither here nor in \.venv-picasso: 'make picasso'"):
        choose(["picasso"], Sources(), pytest.fail)
    old = write_stand_in(tmp_path / "old", version="0.9.10")
    monkeypatch.setenv("PYTHONPATH", str(old))
    with pytest.raises(SettingError, match=r"picassosr 0.11 or later, and .* lacks it"):
        find_python(HERE)


def test_picasso_finds_molecules_where_they_are(real: Picasso) -> None:
    places_px = [(12.3, 15.61), None, (9.81, 20.07), (1.2, 30.4)]
    found = real.reconstruct(_frames([*places_px])).molecules
    assert found is not None
    assert found.frame.tolist() == [0, 2, 3]
    true_nm = 100 * np.array([place for place in places_px if place is not None])
    np.testing.assert_allclose(np.column_stack([found.y_nm, found.x_nm])[:2], true_nm[:2], atol=5)
    np.testing.assert_allclose([found.y_nm[2], found.x_nm[2]], true_nm[2], atol=80)


def test_picasso_finds_nothing_where_nothing_is(real: Picasso) -> None:
    found = real.reconstruct(_frames([None, None]))
    assert found.molecules is not None
    assert len(found.molecules.frame) == 0
    assert not found.image.any()
