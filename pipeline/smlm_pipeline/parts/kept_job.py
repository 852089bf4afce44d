"""The job of a part, as its file keeps it, and what must be equal in all parts of a run."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from smlm_pipeline.errors import CheckpointError, SettingError
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.job import Job
from smlm_pipeline.output.image_names import image_path
from smlm_pipeline.output.picture_style import PictureStyle
from smlm_pipeline.run.partial_file import damaged
from smlm_pipeline.run.parts import Part
from smlm_pipeline.settings import CHANGE_NO_IMAGE, DRIFT_AUTO, DRIFT_OFF, Settings
from smlm_pipeline.tables.camera_units import CameraUnits


def asked_of(job: Job) -> dict[str, Any]:
    """The options that must be equal in all parts of a run, as the command names them."""
    settings = asdict(job.settings)
    apart = {*CHANGE_NO_IMAGE, "precision", "allow_partial"}  # the identity has the precision
    selection = asdict(job.selection)
    selection["roi"] = selection.pop("roi_px")
    for name in ("frames", "pattern"):
        del selection[name]
    return {
        **{name: value for name, value in settings.items() if name not in apart},
        **selection,
        "drift": job.settings.drift_name,
        "report": job.page,
        "pixel_size_nm": job.pixel_size_nm,
        "molecules": job.molecules is not None,
        "molecules_probability": job.molecules_probability,
        "camera": job.camera and job.camera.estimate and job.camera.estimate.file,
        "gain_adu_per_photon": job.camera and job.camera.gain_adu_per_photon,
        "offset_adu": job.camera and job.camera.offset_adu,
    }


def facts_of(job: Job) -> dict[str, Any]:
    """What `job_of` needs, for JSON; paths are absolute, since a part may be merged elsewhere."""
    drift = job.settings.drift_file
    return {
        "film": str(job.film.resolve()),
        "image": str(job.image.resolve()),
        "molecules": None if job.molecules is None else str(job.molecules.resolve()),
        "settings": {
            **asdict(job.settings),
            "drift": job.settings.drift if drift is None else str(drift.resolve()),
        },
        "selection": asdict(job.selection),
        "pixel_size_nm": job.pixel_size_nm,
        "molecules_probability": job.molecules_probability,
        "camera": None if job.camera is None else job.camera.as_dict(),
        "style": asdict(job.style),
        "page": job.page,
    }


def job_of(part: Part, film: Path | None, output: Path | None, molecules: Path | None) -> Job:
    """The job that a part names, with other files where they are given."""
    kept = part.job
    try:
        settings = dict(kept["settings"])
        if settings["drift"] not in (DRIFT_OFF, DRIFT_AUTO):
            settings["drift"] = Path(settings["drift"])
        selection = dict(kept["selection"])
        selection["frames"] = tuple(selection["frames"])
        selection["roi_px"] = selection["roi_px"] and tuple(selection["roi_px"])
        job = Job(
            film or Path(kept["film"]),
            Path(kept["image"]),
            Settings(**settings),
            kept["pixel_size_nm"],
            Selection(**selection),
            molecules=kept["molecules"] and Path(kept["molecules"]),
            molecules_probability=kept["molecules_probability"],
            camera=kept["camera"] and CameraUnits.from_dict(kept["camera"]),
            style=PictureStyle(**kept["style"]),
            page=kept["page"],
        )
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(part.path) from error
    if molecules is not None and job.molecules is None:
        raise SettingError(
            "--molecules asks for a table, and the parts keep no molecules; expected parts that "
            "were submitted with --molecules: leave it out, or submit them again"
        )
    if not job.film.exists():
        raise CheckpointError(
            f"{job.film} is not there, the film of {part.path}; expected the film, of which a "
            "sample is read: name it with --film"
        )
    image = job.image if output is None and film is None else image_path(job.film, output)
    return replace(job, image=image, molecules=molecules or job.molecules)
