"""``recon-train evaluate``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from smlm_pipeline import contract
from smlm_pipeline.compute.levels import film_levels
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.film import read_film, read_pixels
from smlm_pipeline.localise.table import Molecules
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.commands import train_door
from smlm_training.scoring.calibration import PROBABILITY_MIN
from smlm_training.scoring.detection_report import DetectionReport, Judging, detection_report
from smlm_training.scoring.evaluate import WIDEFIELD, Score, score, truth_image, widefield_image
from smlm_training.scoring.figure import write_calibration_figure, write_figure
from smlm_training.scoring.score_tables import (
    detection_tables,
    gridding_line,
    image_table,
    scores_csv,
    scores_json,
)
from smlm_training.simulation import presets
from smlm_training.simulation.positions import read_positions
from smlm_training.simulation.table_check import check_table

_Image = Annotated[Path, typer.Argument(help="Image that recon-client wrote.")]
_Stack = Annotated[Path, typer.Option(help="The film: for its wide-field image and the network.")]
_Positions = Annotated[Path, typer.Option(help="ThunderSTORM table of the true positions.")]
_PixelSize = Annotated[float, typer.Option(min=1, help="Camera pixel.")]
_Network = Annotated[
    Path | None,
    typer.Option(help="ONNX network whose molecules are scored; by default the repository's."),
]
_Detect = Annotated[
    bool,
    typer.Option("--detections/--no-detections", help="Run the network to score its molecules."),
]
_Threshold = Annotated[
    float, typer.Option(min=0.01, max=1, help="Probability from which a molecule is found.")
]
_Tolerance = Annotated[
    float, typer.Option(min=1, help="Largest distance of a found molecule from its true one.")
]
_Border = Annotated[
    float,
    typer.Option(min=0, help="Molecules so near to an edge do not count; the challenge takes 450."),
]
_Figure = Annotated[
    Path | None,
    typer.Option(help="PNG of wide field, truth, reconstruction and difference side by side."),
]
_CalibrationFigure = Annotated[
    Path | None,
    typer.Option(help="PNG of predicted sigmas against errors, probabilities against shares."),
]
_Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="CSV of the scores, a number a row.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def evaluate(
    image: _Image,
    stack: _Stack,
    positions: _Positions,
    pixel_size_nm: _PixelSize = presets.PIXEL_SIZE_NM,
    network: _Network = None,
    detections: _Detect = True,
    threshold: _Threshold = Judging.threshold,
    tolerance_nm: _Tolerance = Judging.tolerance_nm,
    border_nm: _Border = Judging.border_nm,
    figure: _Figure = None,
    calibration_figure: _CalibrationFigure = None,
    output: _Output = None,
    as_json: _Json = False,
) -> None:
    """Score an image, and the network's molecules, against the true positions."""
    with train_door():
        pixels, frames_adu = _read(image, stack)
        true = _true_molecules(positions, frames_adu, pixel_size_nm)
        images, truth = _images(pixels, frames_adu, true, pixel_size_nm)
        scores = {name: score(each, truth) for name, each in images.items()}
        file = _network_file(network) if detections else None
        judging = Judging(threshold, tolerance_nm, border_nm)
        report = None
        if file is not None:
            report = _report(file, frames_adu, true, pixel_size_nm, judging)
        if figure is not None:
            write_figure(
                figure,
                widefield=images[WIDEFIELD],
                truth=truth,
                image=pixels,
                sr_pixel_size_nm=pixel_size_nm * frames_adu.shape[1] / len(pixels),
            )
        if calibration_figure is not None:
            if report is None:
                raise SettingError(
                    "no calibration without detections; expected a network: name one with --network"
                )
            write_calibration_figure(calibration_figure, report.sigma, report.probability)
        if output is not None:
            output.write_text(scores_csv(scores, report), encoding="utf-8")
        if as_json:
            typer.echo(scores_json(scores, report))
        else:
            _tell(scores, report)


def _read(image: Path, stack: Path) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """The image (Y, X) and the film (N, H, W), whose whole multiple it is."""
    pixels = read_pixels(image, "image of two axes", lambda found: found.ndim == 2)
    frames_adu = read_film(stack)
    zoom = len(pixels) // frames_adu.shape[1]
    if not zoom or pixels.shape != (zoom * frames_adu.shape[1], zoom * frames_adu.shape[2]):
        raise SettingError(f"{image} is no whole multiple of {stack} in size; are they a pair?")
    return pixels, frames_adu


def _true_molecules(
    positions: Path, frames_adu: NDArray[np.uint16], pixel_size_nm: float
) -> Molecules:
    """Molecules of the table, if it is the film's; a table may go on after its film."""
    true = read_positions(positions).first_frames(len(frames_adu))
    check_table(frames_adu, true.by_frame(len(frames_adu), pixel_size_nm), pixel_size_nm)
    return Molecules(true.frame, true.y_nm, true.x_nm)


def _images(
    pixels: NDArray[Any], frames_adu: NDArray[np.uint16], true: Molecules, pixel_size_nm: float
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """The image between those it is compared with, and the truth, on its grid."""
    height, width = pixels.shape
    zoom = height // frames_adu.shape[1]
    truth = truth_image(
        true.y_nm, true.x_nm, shape=(height, width), sr_pixel_size_nm=pixel_size_nm / zoom
    )
    background_adu = float(film_levels(frames_adu)[0])
    widefield = widefield_image(frames_adu, background_adu=background_adu, zoom=zoom)
    blank = np.zeros_like(truth)
    return {"image": pixels, "blank image": blank, WIDEFIELD: widefield}, truth


def _network_file(given: Path | None) -> Path | None:
    """The network to run, or None where there is none, which is said."""
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
    from smlm_training.scoring.inference import localise_by_file

    candidates = localise_by_file(
        file,
        frames_adu,
        pixel_size_nm=pixel_size_nm,
        threshold=min(PROBABILITY_MIN, judging.threshold),
    )
    _, height, width = frames_adu.shape
    return detection_report(
        candidates, true, shape_px=(height, width), pixel_size_nm=pixel_size_nm, judging=judging
    )


def _tell(scores: Mapping[str, Score], report: DetectionReport | None) -> None:
    console = Console(highlight=False)
    console.print(image_table(scores))
    if report is not None:
        for table in detection_tables(report):
            console.print()
            console.print(table)
        console.print(gridding_line(report), soft_wrap=True)
