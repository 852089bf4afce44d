"""Describe estimates for the user: value, uncertainty, confidence and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smlm_training.matching.estimates import GUESSED_SPREAD, Estimates, KnownCamera, Value
from smlm_training.matching.preset import is_known

MISFIT_MAX = 0.03
"""A spot with or without a halo leaves less than this of the covariances unexplained."""

_WORDS = ((0.03, "very sure"), (0.1, "sure"), (0.25, "fairly sure"), (float("inf"), "rough"))
"""Confidence by the largest relative error."""


@dataclass(frozen=True)
class Row:
    """One line of the report, ready to print."""

    name: str
    value: str
    uncertainty: str
    sureness: str
    why: str


def rows(
    estimates: Estimates, known: KnownCamera, *, pixel_size_nm: float, area_px2: int
) -> Iterator[Row]:
    """The report on one film.

    Parameters
    ----------
    estimates : Estimates
        Of the film.
    known : KnownCamera
        Given by the user.
    pixel_size_nm : float
        Edge of a camera pixel in the sample.
    area_px2 : int
        Measured area, in which emitters per frame are counted.
    """
    named = {name: value for name, value in vars(estimates).items() if isinstance(value, Value)}
    density = named.pop("density_per_px2")
    known_density = is_known("density_per_px2", density)
    for name, unit in _UNITS.items():
        yield _row(unit, named[name], is_known(name, named[name]), _why(name, estimates, known))
    pixel_um2 = (pixel_size_nm / 1000) ** 2
    for unit, factor in (("emitters per frame", area_px2), ("emitters per um2", 1 / pixel_um2)):
        scaled = Value(density.value * factor, density.error * factor)
        yield _row(unit, scaled, known_density, _why("density_per_px2", estimates, known))


_UNITS = {
    "sigma_px": "PSF sigma (px)",
    "spot_ratio": "PSF width along y over x",
    "halo_light": "light in a halo of the PSF",
    "on_frames": "mean length of blinks (frames)",
    "photons": "photons per emitter and frame",
    "photons_spread": "relative spread of photons",
    "background_photons": "background (photons)",
    "offset_adu": "camera offset (ADU)",
    "gain_adu_per_photon": "gain (ADU per photon)",
}


def _row(name: str, value: Value, known: bool, why: str) -> Row:
    if not known:
        return Row(name, "-", "-", "not measured", why)
    if value.value == 0:
        return Row(name, "0", f"{value.error:.3g}", "none shows", why)
    word = next(word for most, word in _WORDS if value.relative_error < most or most > 1)
    if value.error == 0:
        return Row(name, f"{value.value:.4g}", "-", "given", why)
    return Row(name, f"{value.value:.4g}", f"{value.error:.3g}", word, why)


def _why(name: str, estimates: Estimates, known: KnownCamera) -> str:
    if name == "sigma_px":
        return _why_sigma(estimates)
    if name == "spot_ratio":
        return "reach of covariance along rows and columns"
    if name == "halo_light":
        return _why_halo(estimates)
    if name == "on_frames":
        return _why_blinks(estimates)
    if name == "photons":
        return (
            f"of a whole frame: brightness in ADU over the gain of an {known.kind.name}; "
            "spread as below"
        )
    if name == "photons_spread":
        share = f"{estimates.spread_measured:.0%} from the fourth cumulant"
        return f"{share}, the rest guessed from {GUESSED_SPREAD[0]} to {GUESSED_SPREAD[1]}"
    if name == "background_photons":
        return (
            "mean light minus offset and emitters: has the errors of all three, and 15 % of the "
            "emitters' light for what a model of spots and photons misses"
        )
    if name == "density_per_px2":
        return "strength of blinking over squared brightness; free of background"
    return _why_camera(name, known)


def _why_halo(estimates: Estimates) -> str:
    if not estimates.halo_light.value:
        return "one that is more than five times as wide as the core would count as background"
    return (
        f"covariance far from a molecule: {estimates.halo_width:g} times as wide as the core; "
        "an Airy pattern, or molecules at different depths"
    )


def _why_blinks(estimates: Estimates) -> str:
    if not estimates.on_frames.value:
        return "neighbouring frames show other molecules: each shines in one"
    return "how much less neighbouring frames differ than distant ones; begins at any time"


def _why_sigma(estimates: Estimates) -> str:
    if estimates.misfit > MISFIT_MAX:
        return (
            f"{estimates.misfit:.0%} of the covariance does not fit a Gaussian: "
            "astigmatism along a diagonal, drift or haze?"
        )
    return "reach of covariance between pixels, as of a pixel-integrated Gaussian; of the core"


def _why_camera(name: str, known: KnownCamera) -> str:
    if name == "gain_adu_per_photon":
        if known.gain_adu_per_photon is not None:
            return "by --gain-adu-per-photon"
        factor = f"excess factor {known.kind.excess:g} of an {known.kind.name} assumed"
        return f"noise against light; {factor}, which noise does not show"
    if known.offset_adu is not None:
        return "by --offset-adu"
    low, high = known.kind.read_noise
    unit = "photons" if known.kind.read_noise_in_photons else "ADU"
    return f"light at which noise would vanish; read noise of {low:g} to {high:g} {unit} assumed"
