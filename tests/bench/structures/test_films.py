"""The films of the suite: wide ranges, two halves, the same film from the same line."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy")

from fakes.places import ROOT
from smlm_bench.structures.films import STRUCTURES, film_lines, make_film
from smlm_bench.structures.ideal import ideal_molecules
from smlm_bench.structures.shape import FIELD_PX, surroundings_um2
from smlm_pipeline.errors import SettingError

TRAINING = ROOT / "training"
LINES = {line.name: line for line in film_lines()}


def test_the_films_cover_what_samples_and_microscopes_differ_by() -> None:
    lines = LINES.values()
    assert {line.structure for line in lines} == set(STRUCTURES)
    assert {line.psf for line in lines} == {"gauss", "airy", "defocus", "astig"}
    assert {line.camera for line in lines} == {"emccd", "scmos"}
    ranges = {
        "sigma_px": (0.8, 2.2),
        "photons": (200, 10_000),
        "background_photons": (1, 600),
        "density_per_um2": (0.6, 30),
        "on_frames": (0, 10),
    }
    for name, (low, high) in ranges.items():
        values = [getattr(line, name) for line in lines]
        assert min(values) <= low, name
        assert max(values) >= high, name


def test_no_film_is_both_chosen_by_and_reported() -> None:
    choose, report = film_lines("choose"), film_lines("report")
    assert len(choose) == len(report) == 18
    assert not {line.seed for line in choose} & {line.seed for line in report}
    assert Counter(each.structure for each in choose).keys() == set(STRUCTURES)
    assert Counter(each.structure for each in report).keys() == set(STRUCTURES)
    assert len(LINES) == len(film_lines("all")) == 36


def test_an_unknown_half_is_refused() -> None:
    with pytest.raises(SettingError, match="half is 'both'; expected one of choose, report, all"):
        film_lines("both")


def test_a_line_always_gives_the_same_film() -> None:
    line = replace(LINES["dots"], frames=6)
    one, two, other = (make_film(each) for each in (line, line, replace(line, seed=1)))
    assert np.array_equal(one.frames_adu, two.frames_adu)
    assert np.array_equal(one.emitters.place_px, two.emitters.place_px)
    assert not np.array_equal(one.frames_adu, other.frames_adu)


@pytest.mark.parametrize("name", ["mesh", "sparse worms that persist"])
def test_a_film_has_its_density_and_its_light(name: str) -> None:
    line = replace(LINES[name], frames=300, background_photons=0.0)
    film = make_film(line)
    assert film.frames_adu.shape == (300, FIELD_PX, FIELD_PX)
    area_um2 = surroundings_um2(film.shape) * (FIELD_PX / (FIELD_PX + 8)) ** 2
    per_frame = len(film.emitters.frame) / 300
    assert per_frame == pytest.approx(line.density_per_um2 * area_um2, rel=0.25)
    assert film.emitters.photons.mean() == pytest.approx(line.photons, rel=0.1)
    light_adu = film.frames_adu.astype(float) - film.camera.offset_adu
    photons = (light_adu / film.camera.gain_adu).sum()
    assert photons == pytest.approx(film.emitters.photons.sum(), rel=0.1)


def test_the_ideal_localiser_errs_less_for_bright_molecules() -> None:
    errors_nm = []
    for photons in (500.0, 5000.0):
        film = make_film(replace(LINES["mesh"], frames=20, photons=photons))
        found, true = ideal_molecules(film), film.emitters.molecules()
        assert np.array_equal(found.frame, true.frame)
        errors_nm.append(np.std(found.y_nm - true.y_nm))
    assert 10 < errors_nm[0] < 20
    assert errors_nm[0] / errors_nm[1] > 3


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(SettingError, match="structure is 'cube'; expected one of straight, waves"):
        make_film(replace(LINES["mesh"], structure="cube"))


def test_training_and_the_films_that_judge_it_know_nothing_of_one_another() -> None:
    """The contracts of pyproject.toml hold for what is imported indirectly, too."""
    training, bench = TRAINING / "smlm_training", TRAINING / "smlm_bench"
    judges = [*(bench / "structures").glob("*.py"), *(bench / "nairr").glob("*.py")]
    assert len(judges) > 15
    for path in training.rglob("*.py"):
        assert "smlm_bench" not in path.read_text(encoding="utf-8"), path
    for path in judges:
        text = path.read_text(encoding="utf-8")
        assert "smlm_training.simulation" not in text, path
        assert "smlm_training.fitting" not in text, path
