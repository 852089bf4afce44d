"""The picture: scale bar, contrast, colours and size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fakes.image_files import PIXEL_NM, filaments
from smlm_pipeline.errors import SettingError
from smlm_pipeline.output.picture import (
    PICTURE_EDGE_MAX_PX,
    _bar_length_nm,
    _binned,
    _grey,
    _limits,
    _smoothed,
    write_picture,
)
from smlm_pipeline.output.picture_style import DEFAULT_STYLE, PictureStyle, hot


def _picture(
    path: Path, image: NDArray[np.float32], pixel_nm: float = PIXEL_NM
) -> NDArray[np.int64]:
    """Write a picture and read it: shape (Y, X, 3), red, green, blue."""
    write_picture(path, image, sr_pixel_size_nm=pixel_nm)
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture).astype(np.int64)


def _drawn(view: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey values with the contrast that is taken by default."""
    return _grey(view, _limits(view, DEFAULT_STYLE))


def _bar_px(colours: NDArray[np.int64]) -> int:
    """Length of the longest run of white in the lower right corner."""
    height, width, _ = colours.shape
    white = (colours[height * 3 // 4 :, width // 2 :] == 255).all(axis=2)
    runs = (len(list(run)) for row in white for lit, run in itertools.groupby(row) if lit)
    return max(runs, default=0)


@pytest.mark.parametrize(
    ("edge_px", "pixel_nm", "picture_px", "bar_px"),
    [
        (512, 12.5, 512, 80),  # 1 um of 6.4
        (128, 12.5, 512, 64),  # 200 nm of 1.6 um, 4 times enlarged
        (300, 10.0, 600, 100),  # 500 nm of 3 um, twice enlarged
        (1000, 13.54, 1000, 148),  # 2 um of 13.54
    ],
)
def test_scale_bar_has_the_length_that_its_label_says(
    tmp_path: Path, edge_px: int, pixel_nm: float, picture_px: int, bar_px: int
) -> None:
    colours = _picture(tmp_path / "picture.png", np.zeros((edge_px, edge_px), np.float32), pixel_nm)
    assert colours.shape == (picture_px, picture_px, 3)
    assert _bar_px(colours) == bar_px


@pytest.mark.parametrize(
    ("width_nm", "length_nm"),
    [(6400, 1000), (1600, 200), (12.5, 2), (2400, 500), (45000, 10000), (38000, 10000), (35, 5)],
)
def test_bar_length_is_round(width_nm: float, length_nm: float) -> None:
    assert _bar_length_nm(width_nm) == pytest.approx(length_nm)


def test_bar_is_outlined_on_white(tmp_path: Path) -> None:
    colours = _picture(tmp_path / "picture.png", np.ones((512, 512), np.float32))
    black = (colours == 0).all(axis=2)
    assert black[384:, 256:].any(axis=0).sum() > 80
    assert (colours[:384] == 255).all()


def test_all_zero_is_black(tmp_path: Path) -> None:
    colours = _picture(tmp_path / "picture.png", np.zeros((512, 512), np.float32))
    assert not colours[:384].any()
    assert not colours[:, :256].any()


def test_more_emitters_are_never_darker(tmp_path: Path) -> None:
    image = np.zeros((512, 512), np.float32)
    centres = np.arange(16, 512, 32)
    image[100, centres] = np.arange(1, len(centres) + 1)
    colours = _picture(tmp_path / "picture.png", image)
    brightness = colours[100, centres].sum(axis=1)
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] > 0
    assert brightness[-1] == 3 * 255


def test_colours_run_from_black_over_red_and_yellow_to_white() -> None:
    table = hot().astype(int)
    assert table[[0, 96, 191, 255]].tolist() == [
        [0, 0, 0],
        [255, 1, 0],
        [255, 254, 0],
        [255, 255, 255],
    ]
    assert (np.diff(table.sum(axis=1)) > 0).all()


@pytest.mark.parametrize(
    ("edge_px", "count", "points"), [(512, 10, 4000), (512, 6, 300), (128, 3, 60)]
)
def test_filaments_show_and_the_ground_stays_black(
    tmp_path: Path, edge_px: int, count: int, points: int
) -> None:
    image = filaments(edge_px, count, points)
    zoom = 512 // edge_px
    colours = _picture(tmp_path / "picture.png", image)[::zoom, ::zoom].sum(axis=2)
    corner = np.zeros(image.shape, bool)
    corner[edge_px * 3 // 4 :, edge_px // 2 :] = True
    lit = (image > 0) & ~corner
    assert np.median(colours[lit]) > 200  # well beyond dark red
    assert (colours[lit] == 3 * 255).mean() < 0.2
    assert np.median(colours[~lit & ~corner]) == 0


def test_a_bead_does_not_darken_the_rest() -> None:
    image = filaments(512, 10, 4000)
    beaded = image.copy()
    beaded[250:254, 250:254] += 300
    plain, with_bead = (_drawn(_smoothed(each)) for each in (image, beaded))
    far = np.s_[:200]
    assert with_bead[far].mean() > 0.8 * plain[far].mean()


def test_the_view_is_smoothed_evenly() -> None:
    image = np.zeros((21, 21), np.float32)
    image[10, 8] = 1
    smoothed = _smoothed(image)
    assert smoothed.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(smoothed[2:19, 8], smoothed[10, :17], rtol=1e-5, atol=0)
    np.testing.assert_allclose(_smoothed(np.ones_like(image)), 1, rtol=1e-5)


def test_binning_takes_the_mean_also_at_partial_edges() -> None:
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    binned = _binned(image, 3)
    expected = [[image[y : y + 3, x : x + 3].mean() for x in (0, 3, 6)] for y in (0, 3)]
    assert binned.dtype == np.float32
    np.testing.assert_allclose(binned, expected, rtol=1e-6)


def test_huge_image_is_binned_down(tmp_path: Path) -> None:
    image = np.zeros((600, 9001), np.float32)
    colours = _picture(tmp_path / "picture.png", image, pixel_nm=10)
    assert colours.shape == (300, 4501, 3)
    assert _bar_px(colours) == 1000  # 20 um of 90, in pixels of 20 nm


@pytest.mark.parametrize("shape", [(1, 1), (300, 700), (2000, 300)])
def test_odd_shapes_make_a_picture(tmp_path: Path, shape: tuple[int, int]) -> None:
    height, width, _ = _picture(tmp_path / "picture.png", np.ones(shape, np.float32)).shape
    assert height * shape[1] == width * shape[0]
    assert max(height, width) <= PICTURE_EDGE_MAX_PX


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((128, 20000), (160, 20000)),  # 16 x 2500 camera pixels at zoom 8
        ((20000, 128), (20000, 160)),
        ((600, 20000), (300, 10000)),
        ((3, 700), (160, 700)),
        ((128, 70000), (160, 23334)),
    ],
)
def test_a_strip_keeps_its_width_and_has_room_for_the_label(
    tmp_path: Path, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.zeros(shape, np.float32)
    image[1, ::10] = 1
    colours = _picture(tmp_path / "picture.png", image)
    assert colours.shape == (*size, 3)
    assert (colours[:4, :64].sum(axis=2) > 200).any(), "the field shows in its corner"
    height, width = size
    label = (colours[height * 3 // 4 :, width // 2 :] == 255).all(axis=2)
    assert label.sum() > 100, "scale bar and label are there"


# --- chosen styles --------------------------------------------------------------------------


def _styled(path: Path, image: NDArray[np.float32], **choices: object) -> Image.Image:
    style = PictureStyle(**choices)  # type: ignore[arg-type]
    write_picture(path, image, sr_pixel_size_nm=PIXEL_NM, style=style)
    with Image.open(path) as picture:
        picture.load()
        return picture


def test_colour_map(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (512, 1))
    grey = np.asarray(_styled(tmp_path / "a.png", ramp, cmap="gray", contrast="0:1"))[100]
    assert (grey == grey[:, :1]).all()
    assert (np.diff(grey[:, 0].astype(int)) >= 0).all()
    viridis = np.asarray(_styled(tmp_path / "b.png", ramp, cmap="viridis", contrast="0:1"))[100]
    assert viridis[0].tolist() == [68, 1, 84]
    np.testing.assert_allclose(viridis[-1], [253, 231, 37], atol=2)


def test_contrast_makes_pictures_of_two_films_comparable(tmp_path: Path) -> None:
    bright, dim = (np.full((512, 512), value, np.float32) for value in (0.5, 0.25))
    pictures = [
        np.asarray(_styled(tmp_path / "a.png", image, cmap="gray", contrast="0:1"))[100, 100, 0]
        for image in (bright, dim)
    ]
    assert pictures == [127, 63]
    cut = np.asarray(_styled(tmp_path / "a.png", bright, cmap="gray", contrast="0.25:0.75"))
    assert cut[100, 100, 0] == 127


def test_contrast_by_percentile(tmp_path: Path) -> None:
    image = np.zeros((512, 512), np.float32)
    image[:200] = np.linspace(1, 2, 512)
    drawn = np.asarray(_styled(tmp_path / "a.png", image, cmap="gray", contrast="50%"))[100, :, 0]
    assert (drawn == 255).mean() == pytest.approx(0.5, abs=0.02)


def test_colour_bar_and_resolution(tmp_path: Path) -> None:
    image = filaments(512, 6, 300)
    plain = _styled(tmp_path / "a.png", image)
    barred = _styled(tmp_path / "b.png", image, colour_bar=True, dpi=300, contrast="0:0.5")
    assert barred.height == plain.height
    assert plain.width + 60 < barred.width < 1.4 * plain.width
    assert barred.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert barred.info["Colours"] == "from 0 to 0.5 emitters per SR pixel"
    assert barred.info["Pixel size"] == "12.5 nm"
    margin = np.asarray(barred)[:, plain.width :].reshape(-1, 3)
    shown = {tuple(colour) for colour in margin.tolist()}
    assert len(shown & {tuple(colour) for colour in hot().tolist()}) > 200
    left = np.asarray(barred)[:, : plain.width]
    other = np.asarray(_styled(tmp_path / "c.png", image, contrast="0:0.5"))
    np.testing.assert_array_equal(left, other)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"cmap": "virids"}, "cmap is 'virids'; expected hot, .*: did you mean viridis"),
        ({"cmap": ""}, "cmap is ''; expected hot"),
        ({"contrast": "1:0"}, "contrast is '1:0'; expected auto, LOW:HIGH"),
        ({"contrast": "bright"}, "contrast is 'bright'; expected auto"),
        ({"contrast": "nan:1"}, "expected auto"),
        ({"contrast": "0%"}, "contrast is '0%'; expected a percentile as 99.5%"),
        ({"dpi": 0}, "dpi is 0; expected a whole number from 1 to 10000"),
    ],
)
def test_choices_that_cannot_be_met(choices: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        PictureStyle(**choices).check()  # type: ignore[arg-type]
