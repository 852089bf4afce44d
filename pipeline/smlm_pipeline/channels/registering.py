"""Register the second channel of a film to the first: by beads, by the images, or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.errors import FilmError
from smlm_pipeline.film.channels_asked import Channels
from smlm_pipeline.film.film import Film, open_film
from smlm_pipeline.film.selection import Selection
from smlm_pipeline.job import Job
from smlm_pipeline.registration.affine import Affine, moved_by
from smlm_pipeline.registration.beads import BeadMap, bead_map
from smlm_pipeline.registration.correlation import GROUPS, Shift, shift_between
from smlm_pipeline.registration.parts import Image

REACH_PX = 20.0
"""Largest shift that the images are searched for, in camera pixels."""

SYSTEMATIC_PX = 0.03
"""What a shift by images is off by whatever the number of molecules, in camera pixels: the network
draws them towards some places of a pixel (docs/two-colours.md)."""

BEAD_FRAMES = 200
"""Most frames of a film of beads, evenly spread, of which the mean is taken."""


@dataclass(frozen=True)
class Registration:
    """How the second channel was registered to the first.

    ``affine`` maps places of the first channel to those of the second one, in nm; None where it
    was not registered. ``facts`` are for JSON, ``warnings`` and ``notes`` for the user.
    """

    affine: Affine | None
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def map_of_beads(job: Job, channels: Channels, pixel_nm: float, film: Film) -> BeadMap | None:
    """Fit the map of the film of beads, if there is one; it is cut as the film is.

    Parameters
    ----------
    job, channels : Job and Channels
        With the film of beads and the selection of the film.
    pixel_nm : float
        Edge of a camera pixel.
    film : Film
        The first channel of the film, whose size that of the beads must have.

    Raises
    ------
    FilmError
        If the film of beads cannot be read, has another size, or its beads do not match.
    """
    if channels.beads is None:
        return None
    means = []
    for half in channels.halves:
        part = Selection(roi_px=job.selection.roi_px, half=half)
        with open_film(channels.beads, part, frames_least=1) as beads:
            _check_alike(beads, film)
            means.append(_mean_adu(beads))
    return bead_map(means[0], means[1], pixel_nm)


def by_beads(found: BeadMap, channels: Channels, field_nm: tuple[float, float]) -> Registration:
    """The registration by beads, and what it says."""
    fit, (first, second) = found.fit, channels.names
    facts = {
        "method": "beads",
        **fit.as_dict(field_nm),
        "beads": list(found.beads),
        "beads_matched": found.matched,
    }
    kind = "an affine map" if fit.turns else "a shift"
    note = (
        f"{second} is registered to {first} by {kind} of {found.matched} beads: {_words(facts)}; "
        f"it misses a bead that is left out by {fit.residual_nm:.1f} nm, and its error at the "
        f"corners is {fit.error_nm:.1f} nm (root mean squares along an axis)"
    )
    return Registration(fit.affine, facts, notes=(note,))


def by_images(
    one: Image, two: Image, channels: Channels, pixel_nm: float, zoom: int
) -> Registration:
    """Register by the images of both channels, where they tell their shift.

    Parameters
    ----------
    one, two : Image
        Molecules per SR pixel of each channel.
    channels : Channels
        Their names, and whether they are to be registered.
    pixel_nm : float
        Edge of a camera pixel.
    zoom : int
        SR pixels along the edge of a camera pixel.
    """
    first, second = channels.names
    if not channels.registers:
        note = f"{second} is not registered to {first}, as asked"
        return Registration(None, {"method": "none"}, notes=(note,))
    found = shift_between(one, two, pixel_nm / zoom, REACH_PX * pixel_nm)
    if not found.known:
        warning = (
            f"{second} is not registered to {first}: the images do not tell their shift "
            f"({found.reason}); --registration-film registers them by beads"
        )
        return Registration(None, {"method": "none", **_facts(found)}, (warning,))
    bent_nm = found.bent_nm / 2 if found.bends else 0.0
    error_nm = math.hypot(found.error_nm, SYSTEMATIC_PX * pixel_nm, bent_nm)
    facts = {"method": "images", "model": "shift", **_facts(found), "error_nm": round(error_nm, 2)}
    note = (
        f"{second} is registered to {first} by their common structure: {_words(facts)}, with a "
        f"standard error of {error_nm:.1f} nm along an axis ({found.agreeing} of {GROUPS} "
        f"parts of the field agree, the next best shift has {100 * found.rival:.0f} % of the "
        "correlation)"
    )
    return Registration(moved_by(np.array(found.yx_nm)), facts, _bent(found, channels), (note,))


def _bent(found: Shift, channels: Channels) -> tuple[str, ...]:
    if not found.bends:
        return ()
    return (
        f"halves of the field differ by {found.bent_nm:.0f} nm in the shift of "
        f"{channels.names[1]}, which is turned or scaled: one shift does not register it; "
        "--registration-film with beads does",
    )


def _facts(found: Shift) -> dict[str, Any]:
    """What speaks for a shift, for JSON."""
    y_nm, x_nm = found.yx_nm
    facts: dict[str, Any] = {"reason": found.reason} if found.reason else {}
    if found.known:
        facts |= {"shift_x_nm": round(x_nm, 2), "shift_y_nm": round(y_nm, 2)}
    facts |= {
        "peak_sigmas": round(found.height, 2),
        "rival_share": round(found.rival, 3),
        "parts_agreeing": found.agreeing,
    }
    if math.isfinite(found.error_nm):
        facts["statistical_error_nm"] = round(found.error_nm, 2)
        facts["bent_nm"] = round(found.bent_nm, 2)
    return facts


def _words(facts: dict[str, Any]) -> str:
    """The shift in words, and rotation and magnification where they are known."""
    words = f"shown {facts['shift_x_nm']:+,.0f} nm in x and {facts['shift_y_nm']:+,.0f} nm in y"
    if facts["model"] == "shift":
        return words
    turned, scaled = facts["rotation_deg"], facts["magnification"]
    return f"{words}, turned by {turned:.3f} degrees and magnified {scaled:.5f} times"


def _check_alike(beads: Film, film: Film) -> None:
    sizes = [(each.width_px, each.height_px) for each in (beads, film)]
    if sizes[0] != sizes[1]:
        (width_px, height_px), (film_width_px, film_height_px) = sizes
        raise FilmError(
            f"a channel of {beads.path.name} is {width_px} x {height_px} pixels (width x height), "
            f"one of {film.path.name} {film_width_px} x {film_height_px}; expected the same region "
            "of the camera: film the beads with it, or give both films one --roi"
        )


def _mean_adu(film: Film) -> NDArray[np.float64]:
    """The mean of frames of a film, (Y, X)."""
    count = min(film.frame_count, BEAD_FRAMES)
    total = np.zeros((film.height_px, film.width_px))
    for place in range(count):
        frame = place * film.frame_count // count
        total += film.read(frame, frame + 1)[0]
    return total / count
