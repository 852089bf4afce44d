"""``recon-train evaluate``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray
from rich.console import Console

from smlm_pipeline import contract
from smlm_pipeline.cli import film_options
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.errors import FilmError, SettingError
from smlm_pipeline.film.film import open_film
from smlm_pipeline.film.frame_numbers import Numbers
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.localise.table import Molecules
from smlm_pipeline.localise.table_files import read_molecules
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_pipeline.settings import DEFAULT_PIXEL_SIZE_NM
from smlm_training.commands import train_door
from smlm_training.scoring.calibration import PROBABILITY_MIN
from smlm_training.scoring.detection_report import DetectionReport, Judging, detection_report
from smlm_training.scoring.evaluate import WIDEFIELD, Score, score, truth_image, widefield_image
from smlm_training.scoring.score_tables import (
    detection_tables,
    gridding_line,
    image_table,
    score_facts,
    scores_csv,
)
from smlm_training.simulation.table_check import check_table

with imported_when_used():
    from smlm_training.scoring import figure as figures
    from smlm_training.scoring import inference

_DETECTIONS, _OUTPUT = "Detections", "Output"

_Image = Annotated[Path, typer.Argument(help="Image that recon-client wrote.")]
_Film = Annotated[
    Path,
    typer.Option(
        "--stack",
        metavar="FILM",
        help="The film, a file or the folder of one: for its wide-field image and the network.",
    ),
]
_Positions = Annotated[
    Path, typer.Option(help="Table of the true positions: ThunderSTORM's CSV, or a spreadsheet.")
]
_PixelSize = Annotated[
    float | None,
    typer.Option(
        min=1,
        help=f"Camera pixel; by default the film's own, else {DEFAULT_PIXEL_SIZE_NM:g}.",
        show_default=False,
    ),
]
_Network = Annotated[
    Path | None,
    typer.Option(
        help="ONNX network whose localisations are scored; by default the repository's.",
        rich_help_panel=_DETECTIONS,
    ),
]
_Detect = Annotated[
    bool,
    typer.Option(
        "--detections/--no-detections",
        help="Run the network to score its localisations.",
        rich_help_panel=_DETECTIONS,
    ),
]
_Threshold = Annotated[
    float,
    typer.Option(
        min=0.01,
        max=1,
        help="Probability from which a localisation counts.",
        rich_help_panel=_DETECTIONS,
    ),
]
_Tolerance = Annotated[
    float,
    typer.Option(
        min=1,
        help="Largest distance of a localisation from its emitter.",
        rich_help_panel=_DETECTIONS,
    ),
]
_Border = Annotated[
    float,
    typer.Option(
        min=0,
        help="Border without scores; the challenge takes 450.",
        rich_help_panel=_DETECTIONS,
    ),
]
_Figure = Annotated[
    Path | None,
    typer.Option(
        help="PNG of wide field, truth, reconstruction and difference side by side.",
        rich_help_panel=_OUTPUT,
    ),
]
_CalibrationFigure = Annotated[
    Path | None,
    typer.Option(
        help="PNG of predicted sigmas against errors, probabilities against shares.",
        rich_help_panel=_OUTPUT,
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="CSV of the scores, one number in each row.", rich_help_panel=_OUTPUT
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.", rich_help_panel=_OUTPUT)]


def evaluate(
    image: _Image,
    film: _Film,
    positions: _Positions,
    pixel_size_nm: _PixelSize = None,
    network: _Network = None,
    detections: _Detect = True,
    threshold: _Threshold = Judging.threshold,
    tolerance_nm: _Tolerance = Judging.tolerance_nm,
    border_nm: _Border = Judging.border_nm,
    figure: _Figure = None,
    calibration_figure: _CalibrationFigure = None,
    output: _Output = None,
    as_json: _Json = False,
    channel: film_options.Channel = None,
    z: film_options.Plane = None,
    position: film_options.Position = None,
    time_axis: film_options.TimeAxis = None,
    pattern: film_options.Pattern = None,
    frames: film_options.Frames = None,
    allow_partial: film_options.AllowPartial = False,
) -> None:
    """Score an image, and the network's localisations, against the true positions."""
    with train_door(as_json=as_json):
        selection = film_options.selection_of(
            channel, z, position, time_axis, frames=frames, pattern=pattern
        )
        pixels = _read_image(image)
        frames_adu, numbers, pixel_nm = _read_film(
            film, selection, pixel_size_nm, allow_partial=allow_partial
        )
        _check_pair(image, pixels, film, frames_adu)
        true = _true_emitters(positions, frames_adu, numbers, pixel_nm)
        images, truth = _images(pixels, frames_adu, true, pixel_nm)
        scores = {name: score(scored, truth) for name, scored in images.items()}
        file = _network_file(network) if detections else None
        judging = Judging(threshold, tolerance_nm, border_nm)
        report = None
        if file is not None:
            report = _report(file, frames_adu, true, pixel_nm, judging)
        if figure is not None:
            figures.write_figure(
                figure,
                widefield=images[WIDEFIELD],
                truth=truth,
                image=pixels,
                sr_pixel_size_nm=pixel_nm * frames_adu.shape[1] / len(pixels),
            )
        if calibration_figure is not None:
            if report is None:
                raise SettingError(
                    "no calibration without detections; expected a network: name one with --network"
                )
            figures.write_calibration_figure(calibration_figure, report.sigma, report.probability)
        if output is not None:
            output.write_text(scores_csv(scores, report), encoding="utf-8")
        if as_json:
            print_json(score_facts(scores, report))
        else:
            _print(scores, report)


def _read_image(path: Path) -> NDArray[Any]:
    """Pixels (Y, X) of a TIFF image."""
    try:
        pixels = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise FilmError(
            f"cannot read {path} ({error}); expected a TIFF image of two axes"
        ) from error
    if pixels.ndim != 2:
        raise FilmError(
            f"{path} has shape {pixels.shape} and dtype {pixels.dtype}; expected an image of two "
            "axes"
        )
    return pixels


def _read_film(
    path: Path, selection: Selection, pixel_size_nm: float | None, *, allow_partial: bool
) -> tuple[NDArray[np.uint16], Numbers, float]:
    """Frames (T, Y, X) in ADU, their numbers in the file, and the edge of a camera pixel in nm."""
    with open_film(path, selection, allow_partial=allow_partial) as film:
        pixel_size = film.pixel_size(pixel_size_nm)
        for note in (*film.warnings, *film.notes, *pixel_size.notes):
            typer.echo(f"recon-train: {note}", err=True)
        return film.read_all(), film.corner.frames, pixel_size.nm


def _check_pair(
    image: Path, pixels: NDArray[Any], film: Path, frames_adu: NDArray[np.uint16]
) -> None:
    _, height, width = frames_adu.shape
    zoom = len(pixels) // height
    if not zoom or pixels.shape != (zoom * height, zoom * width):
        raise SettingError(
            f"{image} is no whole multiple of {film} in size; expected the image of this film: "
            "check both names"
        )


def _true_emitters(
    positions: Path, frames_adu: NDArray[np.uint16], numbers: Numbers, pixel_size_nm: float
) -> Molecules:
    """Emitters of the table, if it is the film's; rows of other frames are dropped."""
    true = read_molecules(positions).of_frames(numbers)
    check_table(frames_adu, true.by_frame(len(frames_adu), pixel_size_nm), pixel_size_nm)
    return true


def _images(
    pixels: NDArray[Any], frames_adu: NDArray[np.uint16], true: Molecules, pixel_size_nm: float
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """The image, the blank and the wide-field image, and the truth, all on the image's grid."""
    height, width = pixels.shape
    zoom = height // frames_adu.shape[1]
    truth = truth_image(
        true.y_nm, true.x_nm, shape=(height, width), sr_pixel_size_nm=pixel_size_nm / zoom
    )
    background_adu = float(np.median(prepared(frames_adu)[1][:, 0]))
    widefield = widefield_image(frames_adu, background_adu=background_adu, zoom=zoom)
    blank = np.zeros_like(truth)
    return {"image": pixels, "blank image": blank, WIDEFIELD: widefield}, truth


def _network_file(given: Path | None) -> Path | None:
    """The network to run, or None with a message where there is none."""
    if given is None:
        try:
            given = network_file(find_model_repository(), contract.UNET.name)
        except SettingError as error:
            typer.echo(f"recon-train: no detections are scored: {error}", err=True)
            return None
    if importlib.util.find_spec("onnxruntime") is None:
        typer.echo(
            "recon-train: no detections are scored: ONNX Runtime is missing; "
            "pip install 'smlm-recon[local]'",
            err=True,
        )
        return None
    return given


def _report(
    file: Path,
    frames_adu: NDArray[np.uint16],
    true: Molecules,
    pixel_size_nm: float,
    judging: Judging,
) -> DetectionReport:
    candidates = inference.localise_by_file(
        file,
        frames_adu,
        pixel_size_nm=pixel_size_nm,
        threshold=min(PROBABILITY_MIN, judging.threshold),
    )
    _, height, width = frames_adu.shape
    return detection_report(
        candidates, true, shape_px=(height, width), pixel_size_nm=pixel_size_nm, judging=judging
    )


def _print(scores: Mapping[str, Score], report: DetectionReport | None) -> None:
    console = Console(highlight=False)
    console.print(image_table(scores))
    if report is not None:
        for table in detection_tables(report):
            console.print()
            console.print(table)
        console.print(gridding_line(report), soft_wrap=True)
