"""Remark in words on what a survey has seen in a film: pixels, clipping, light that changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline.compute.levels import ERROR_IN_SPACE, TEMPORAL_FRAMES_MIN
from smlm_pipeline.compute.pixel_faults import PixelFaults
from smlm_pipeline.film.sample import Sample
from smlm_pipeline.film.selection import Corner
from smlm_pipeline.film.survey import Survey

DARK_SCALES = 0.05
"""Behind a closed shutter the background is below that of all lit frames by this, in scales."""

CHANGE_SCALES, STEP_SCALES = 0.5, 0.1
"""Changes of the background below this share of the scale are not worth a remark; the second is
for those that repeat themselves."""

CLIPPED_SHARE_ALLOWED = 0.02
"""Up to this share of clipped values, scales were within some 10 % of those of the whole light."""

SCALE_ERROR_MOST = 0.15
"""Larger errors of the scale are worth a remark."""

PERIODS = range(2, 21)
PERIODIC_SHARE = 0.8
"""Share of the variance of the background that a period must explain."""

_ORDINALS = {2: "second", 3: "third", 4: "fourth"}


def remarks(survey: Survey, corner: Corner) -> list[str]:
    """Remark on a film for its user, in sentences.

    Parameters
    ----------
    survey : Survey
        Of the film.
    corner : Corner
        Where the film begins in its file: frames and pixels are numbered as there.
    """
    return [remark for kind in remarks_by_kind(survey, corner).values() for remark in kind]


def remarks_by_kind(survey: Survey, corner: Corner) -> dict[str, list[str]]:
    """The `remarks`, by what they are on: ``pixels``, ``clipping``, ``scale`` or ``light``."""
    faults, sample = survey.conditioning.faults, survey.sample
    return {
        "pixels": [*_on_pixels(faults, survey.conditioning.blank, corner)],
        "clipping": [*_on_clipping(sample)],
        "scale": [*_on_scale(sample)],
        "light": [
            *_on_dark_frames(sample, corner),
            *_on_background(sample, corner),
            *_on_shape(survey),
            *_on_brightness(survey, corner),
        ],
    }


def _on_pixels(faults: PixelFaults, blank: NDArray[np.bool_], corner: Corner) -> Iterator[str]:
    if faults.worst_hot is not None:
        count, (y, x) = np.count_nonzero(faults.hot), faults.worst_hot
        worst = f"y {corner.y_px + y}, x {corner.x_px + x}"
        many = f"{count:,} pixels are" if count > 1 else "1 pixel is"
        yield f"{many} hot or flicker (the worst at {worst}) and replaced by the neighbours' mean"
    dead = np.argwhere(faults.constant & ~blank)
    if len(dead):
        y, x = dead[0]
        first = f"y {corner.y_px + y}, x {corner.x_px + x}"
        many = f"{len(dead):,} pixels never change" if len(dead) > 1 else "1 pixel never changes"
        yield f"{many} (the first at {first}) and are replaced by the neighbours' mean"
    if blank.any():
        yield (
            f"{_percent(blank.mean())} of the field shows no picture (constant values, or the "
            "camera's noise outside of a field stop): nothing is drawn there; --roi leaves it out"
        )
    if faults.fill_adu is not None:
        yield (
            f"parts of the frames hold nothing but the value {faults.fill_adu} (borders of a "
            "registered film?): they are taken as background"
        )


def _on_clipping(sample: Sample) -> Iterator[str]:
    if sample.clipping is None:
        return
    counts = "the scale allows for it, so counts hardly change"
    if sample.clipping.share > CLIPPED_SHARE_ALLOWED:
        counts = "that is too much for the scale to allow for, and counts may be far too high"
    yield (
        f"{_percent(sample.clipping.share)} of the values are clipped at "
        f"{sample.clipping.value_adu}: the brightest molecules have more light than the film "
        f"shows; {counts}; film with a lower gain"
    )


def _on_scale(sample: Sample) -> Iterator[str]:
    error, frames = sample.scale_error, len(sample.frames)
    if frames < TEMPORAL_FRAMES_MIN or (error is not None and error >= ERROR_IN_SPACE):
        looked = f"{frames:,} frames of this size are" if frames > 1 else "one frame is"
        yield (
            f"{looked} too little to show how bright a molecule is: counts may be wrong by a "
            "factor of two; use more frames of the film, or a larger region"
        )
    elif error is None:
        yield (
            "nothing that blinks stands out of the noise: what is found may be noise, and what "
            "always shines is not counted rightly"
        )
    elif error > SCALE_ERROR_MOST:
        yield (
            f"how bright a molecule is, and so every count, is known to some {100 * error:.0f} % "
            "only; use more frames of the film, or a larger region"
        )
    if frames >= TEMPORAL_FRAMES_MIN and not sample.long_enough:
        yield (
            f"{frames:,} frames are too few to tell for how many of them a molecule shines: if it "
            "shines for several in a row, counts are too high, by a third or more; use more frames "
            "of the film"
        )


def _on_dark_frames(sample: Sample, corner: Corner) -> Iterator[str]:
    lit = ~sample.dark
    if lit.all() or not lit.any():
        return
    least_adu = sample.backgrounds_adu[lit].min() - DARK_SCALES * sample.scale_adu
    shut = sample.dark & (sample.backgrounds_adu < least_adu)
    if shut.any():
        places = sample.frames[shut]
        first, last = (_number(corner, int(place)) for place in (places[0], places[-1]))
        where = f"frame {first}" if first == last else f"between frames {first} and {last}"
        yield (
            f"about {_percent(shut.mean())} of the frames are dark ({where}; shutter closed?): "
            "nothing is found in them"
        )


def _on_background(sample: Sample, corner: Corner) -> Iterator[str]:
    lit = ~sample.dark if not sample.dark.all() else sample.dark | True
    backgrounds_adu = sample.backgrounds_adu.astype(np.float64)
    low, high = np.quantile(backgrounds_adu[lit], (0.02, 0.98))
    periodic = _period(sample.frames, backgrounds_adu, STEP_SCALES * sample.scale_adu)
    if periodic is not None:
        yield _on_period(*periodic, corner)
    elif high - low > CHANGE_SCALES * sample.scale_adu:
        yield (
            f"the background changes from {low:,.0f} to {high:,.0f} ADU, which is "
            f"{(high - low) / sample.scale_adu:.1f} times the scale of a molecule; each frame has "
            "its own, but noise grows with it"
        )


def _on_shape(survey: Survey) -> Iterator[str]:
    shape = survey.conditioning.shape
    if shape is not None:
        times = shape.largest_adu / survey.sample.scale_adu
        yield (
            f"the background differs by {shape.largest_adu:,.0f} ADU over the field, which is "
            f"{times:.1f} times the scale of a molecule (a cell's own light, uneven "
            "illumination?): the difference is subtracted"
        )


def _on_period(period: int, odd: list[int], step_adu: float, corner: Corner) -> str:
    numbers = ", ".join(str(_number(corner, phase)) for phase in odd)
    change = "brighter" if step_adu > 0 else "darker"
    if len(odd) == 1:
        which = f"every {_ORDINALS.get(period, f'{period}th')} frame (frame {numbers} and so on) is"
    else:
        which = f"{len(odd)} of every {period} frames ({numbers} and so on) are"
    found = f"{which} {abs(step_adu):,.0f} ADU {change}"
    if period > max(_ORDINALS):
        return f"{found}: pulses of activation? all frames are used, each with its background"
    step = period * (_number(corner, 1) - _number(corner, 0))
    parts = [f"--frames {_number(corner, place)}::{step}" for place in range(period)]
    both = "--channels alternating makes one image of both, " if step == 2 else ""
    return (
        f"{found}: two colours, or a shutter? {' or '.join(parts)} takes one of them, {both}"
        "else all are used with one scale"
    )


def _period(
    frames: NDArray[np.intp], backgrounds_adu: NDArray[np.float64], least_adu: float
) -> tuple[int, list[int], float] | None:
    """Period, odd phases and their step, if a background repeats itself."""
    total = float(backgrounds_adu.var()) * len(frames)
    for period in PERIODS:
        phases = frames % period
        counts = np.bincount(phases, minlength=period)
        if counts.min() < 3:
            break
        means = np.bincount(phases, backgrounds_adu, minlength=period) / counts
        between = float((counts * np.square(means - backgrounds_adu.mean())).sum())
        bright = means > (means.min() + means.max()) / 2
        if not bright.any():
            continue
        step_adu = float(means[bright].mean() - means[~bright].mean())
        if step_adu > least_adu and between > PERIODIC_SHARE * total:
            odd = bright if 2 * bright.sum() <= period else ~bright
            return period, np.flatnonzero(odd).tolist(), step_adu if odd is bright else -step_adu
    return None


def _on_brightness(survey: Survey, corner: Corner) -> Iterator[str]:
    segments = survey.conditioning.segments
    for before, after in pairwise(segments):
        change = "brighter" if after.scale_adu > before.scale_adu else "darker"
        yield (
            f"molecules become {change} at about frame {_number(corner, after.first)} (scale "
            f"{before.scale_adu:,.0f}, then {after.scale_adu:,.0f} ADU): other laser power, or two "
            "films in one? both parts are used"
        )


def _number(corner: Corner, frame: int) -> int:
    """Number in the file of a frame of the film."""
    return corner.numbers(frame, frame + 1)[0].start


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
