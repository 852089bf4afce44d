"""The network in the repository makes the picture that it made when it was published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ThunderStorm
from golden.renew import FILE, summed
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fakes.films import ArrayFilm
from smlm_pipeline import contract
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.compute.tiles import cut
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_file
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings
from smlm_training.scoring.evaluate import score, truth_image, widefield_image
from smlm_training.scoring.inference import detect, draw
from smlm_training.simulation.presets import preset_film


@pytest.fixture(scope="module")
def reference(model_repository: Path) -> LocalTransport:
    """The reference: ONNX Runtime, in float32."""
    file = network_file(model_repository, contract.UNET.name)
    return LocalTransport(OnnxNetwork(file, intra_op_threads=0))


def test_a_stored_film_gives_the_stored_sum(reference: LocalTransport) -> None:
    """Other processors round otherwise: that moves an emitter now and then, never many."""
    with np.load(FILE) as golden:
        frames_adu, expected = golden["frames_adu"], golden["image"]
    found = summed(frames_adu, reference)
    assert expected.sum() > 50 * contract.WEIGHT_ONE
    assert abs(int(found.sum()) - int(expected.sum())) <= 1e-3 * expected.sum()
    assert np.abs(found - expected).sum() <= 2e-2 * expected.sum()


def test_levels_of_thunderstorms_film(thunderstorm: ThunderStorm) -> None:
    """Base 100 ADU and 20 photons of 2 ADU: a background of 140."""
    background_adu, scale_adu = np.median(prepared(thunderstorm.frames_adu)[1], axis=0)
    assert background_adu == pytest.approx(144.91, abs=0.01)
    assert scale_adu == pytest.approx(291.37, abs=0.01)


def test_thunderstorms_emitters_are_counted(
    thunderstorm: ThunderStorm, local_transport: LocalTransport
) -> None:
    image = summed(thunderstorm.frames_adu, local_transport)
    found = image.sum(dtype=np.int64) / contract.WEIGHT_ONE
    assert found == pytest.approx(len(thunderstorm.y_px), rel=0.10)


def test_filaments_that_training_never_saw_are_sharp(local_transport: LocalTransport) -> None:
    """The demo's film: at most 25 % at a blur of one fine pixel, far below the wide field's."""
    film = preset_film("microtubules", seed=1, frames=200, height_px=64, width_px=64)
    inside = film.emitters.inside(64, 64)
    truth = truth_image(
        film.emitters.y_px[inside],
        film.emitters.x_px[inside],
        shape=(512, 512),
        sr_pixel_size_nm=1 / 8,
    )
    image: NDArray[np.float64] = draw(detect(local_transport.network, film.frames_adu))
    background_adu = float(np.median(prepared(film.frames_adu)[1][:, 0]))
    widefield = widefield_image(film.frames_adu, background_adu=background_adu, zoom=8)
    ours, camera = score(image, truth), score(widefield, truth)
    assert ours.nmse_percent[1] <= 25
    assert ours.nmse_percent[1] < 0.5 * camera.nmse_percent[1]
    assert ours.sum_ratio == pytest.approx(1, rel=0.10)


@pytest.mark.parametrize(("sample", "within"), [("uniform-3", 0.06), ("filaments-6", 0.07)])
@pytest.mark.parametrize("spread", [0.1, 0.4, 0.7])
def test_molecules_are_counted_however_unlike_they_are(
    sample: str, within: float, spread: float, local_transport: LocalTransport
) -> None:
    made = preset_film(sample, seed=3, frames=80, height_px=64, width_px=64, photons_spread=spread)
    inside = made.emitters.inside(*made.frames_adu.shape[1:])
    image = reconstruct(ArrayFilm(made.frames_adu), local_transport, Settings(refine="off")).image
    assert image.sum() == pytest.approx(np.count_nonzero(inside), rel=within)


@pytest.mark.parametrize("share", [0.002, 0.01])
def test_molecules_of_clipped_films_are_counted(
    share: float, local_transport: LocalTransport
) -> None:
    made = preset_film("evaluate", seed=3610, frames=60, height_px=64, width_px=64)
    film_adu = np.minimum(made.frames_adu, int(np.quantile(made.frames_adu, 1 - share)))
    image = reconstruct(ArrayFilm(film_adu), local_transport, Settings(refine="off")).image
    inside = made.emitters.inside(*made.frames_adu.shape[1:])
    assert image.sum() == pytest.approx(np.count_nonzero(inside), rel=0.08)


def test_the_card_states_scores_of_a_network_that_reads_one_frame(model_repository: Path) -> None:
    """Without a look at the film, which corrects the scale, so counts may be off by a tenth."""
    card = json.loads((model_repository / "unet" / "1" / "model.json").read_text())
    scores = card["scores_on_films_training_never_saw"]
    for found, asked in zip(
        scores["evaluate"]["nmse_percent_at_blur_0_1_2_px"], (35, 9.2, 2.75), strict=True
    ):
        assert found <= asked
    for sample in ("uniform", "filaments"):
        for density in (1, 3, 6, 9):
            ratio = scores[f"{sample}-{density}"]["emitters_found_over_true"]
            assert ratio == pytest.approx(1, abs=0.105)
    assert scores["uniform-1"]["positions_within_pixel_deviation_percent"] <= 10


@pytest.mark.parametrize("hot_adu", [2000, 10_000, 65_535])
def test_a_hot_pixel_does_not_spoil_the_picture(
    hot_adu: int, local_transport: LocalTransport
) -> None:
    frames_adu = preset_film(
        "microtubules", seed=1, frames=20, height_px=64, width_px=64
    ).frames_adu
    clean = draw(detect(local_transport.network, frames_adu)).sum()
    frames_adu[:, 32, 32] = hot_adu
    assert draw(detect(local_transport.network, frames_adu)).sum() == pytest.approx(clean, rel=0.03)


def test_edges_that_are_no_multiple_of_four_are_as_sharp(
    local_transport: LocalTransport,
) -> None:
    """The last rows of a film cropped to 61 rows, against the same rows of the whole film."""
    film = preset_film("microtubules", seed=1, frames=60, height_px=64, width_px=64)
    whole = draw(detect(local_transport.network, film.frames_adu))[: 61 * 8]
    tile = cut(film.frames_adu[:, :61], top=0, left=0, height=64, width=64)
    cropped = draw(detect(local_transport.network, tile))[: 61 * 8]
    rows = slice(58 * 8, 61 * 8)
    difference = np.abs(gaussian_filter(cropped, 2) - gaussian_filter(whole, 2))[rows].sum()
    assert difference < 0.5 * whole[rows].sum()
