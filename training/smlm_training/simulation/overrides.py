"""Options of the command line that replace a preset's settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from smlm_pipeline.errors import SettingError
from smlm_training.simulation.backgrounds import Background
from smlm_training.simulation.bounds import check_one_of, check_range
from smlm_training.simulation.camera import Emccd
from smlm_training.simulation.fluorophores import Fluorophore, uniform_moments
from smlm_training.simulation.samples import SAMPLES, AnySample, FilamentSample
from smlm_training.simulation.scene import Scene
from smlm_training.simulation.scene_file import CAMERAS
from smlm_training.simulation.scmos import ScmosChip

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Overrides:
    """Options beside a preset; None keeps the preset's setting.

    ``photons`` and ``sigma_px`` are a mean, or ``from:to``, the ends of a uniform
    distribution, as ThunderSTORM asks for them.
    """

    structure: str | None = None
    density_per_um2: float | None = None
    density_per_um: float | None = None
    photons: str | None = None
    photons_spread: float | None = None
    photons_distribution: str | None = None
    sigma_px: str | None = None
    sigma_spread: float | None = None
    psf: str | None = None
    background_photons: float | None = None
    background_kind: str | None = None
    background_variation: float | None = None
    camera: str | None = None
    adu_per_photon: float | None = None
    offset_adu: float | None = None
    read_noise_adu: float | None = None
    chip_seed: int | None = None
    gain_map: Path | None = None
    offset_map: Path | None = None
    variance_map: Path | None = None
    frames: int | None = None
    size_px: int | None = None
    height_px: int | None = None
    width_px: int | None = None
    pixel_size_nm: float | None = None
    seed: int | None = None

    def of(self, scene: Scene) -> Scene:
        """The scene with the options applied.

        Raises
        ------
        SettingError
            If an option is impossible, or contradicts another.
        """
        return _with(
            scene,
            sample=self._sample(scene.sample),
            fluorophore=self._fluorophore(scene.fluorophore),
            background=self._background(scene.background),
            camera=self._camera(scene.camera),
            psf=self.psf,
            frames=self.frames,
            height_px=self.size_px if self.height_px is None else self.height_px,
            width_px=self.size_px if self.width_px is None else self.width_px,
            pixel_size_nm=self.pixel_size_nm,
            seed=self.seed,
        )

    def _sample(self, sample: AnySample) -> AnySample:
        density_per_um2 = self.density_per_um2
        if self.structure is not None and self.structure != sample.kind:
            check_one_of("structure", self.structure, SAMPLES)
            if density_per_um2 is None:
                density_per_um2 = sample.density_per_um2
            sample = SAMPLES[self.structure]()
        if not isinstance(sample, FilamentSample):
            if self.density_per_um is not None:
                raise SettingError(
                    f"a density per um of line was given for {sample.kind}, which have no lines; "
                    "give --density-per-um2, or --structure filaments"
                )
            return _with(sample, density_per_um2=density_per_um2)
        if self.density_per_um is not None:
            if self.density_per_um2 is not None:
                raise SettingError("two densities were given; expected one, per um2 or per um")
            along = (self.density_per_um, self.density_per_um)
            return replace(sample, density_per_um2=None, density_per_um=along)
        if density_per_um2 is not None:
            return replace(sample, density_per_um2=density_per_um2, density_per_um=None)
        return sample

    def _background(self, background: Background) -> Background:
        changed = _with(
            background,
            photons=self.background_photons,
            kind=self.background_kind,
            variation=self.background_variation,
        )
        if changed.kind == "flat" and self.background_variation is not None:
            raise SettingError(
                "a variation was given for a flat background; add --background-kind graded or "
                "patchy"
            )
        return changed

    def _fluorophore(self, fluorophore: Fluorophore) -> Fluorophore:
        photons: dict[str, Any] = {
            "photons_distribution": self.photons_distribution,
            "photons_spread": self.photons_spread,
        }
        if self.photons_distribution == "constant" and self.photons_spread is None:
            photons["photons_spread"] = 0.0
        photons |= _moments("photons", self.photons, photons)
        sigma: dict[str, Any] = {"sigma_spread": self.sigma_spread, "sigma_distribution": None}
        sigma |= _moments("sigma", self.sigma_px, sigma, unit="_px")
        return _with(fluorophore, **photons, **sigma)

    def _camera(self, camera: Emccd | ScmosChip) -> Emccd | ScmosChip:
        if self.camera is not None:
            check_one_of("camera", self.camera, CAMERAS)
            if not isinstance(camera, CAMERAS[self.camera]):
                camera = CAMERAS[self.camera](
                    adu_per_photon=camera.adu_per_photon, offset_adu=camera.offset_adu
                )
        chip = {
            "gain_map": self.gain_map,
            "offset_map": self.offset_map,
            "variance_map": self.variance_map,
        }
        given: dict[str, Any] = {name: str(path.resolve()) for name, path in chip.items() if path}
        if self.chip_seed is not None:
            given["chip_seed"] = self.chip_seed
        if given and not isinstance(camera, ScmosChip):
            raise SettingError(
                f"{', '.join(given)} was given for an EMCCD; pixels differ on an sCMOS chip: "
                "add --camera scmos"
            )
        return _with(
            camera,
            adu_per_photon=self.adu_per_photon,
            offset_adu=self.offset_adu,
            read_noise_adu=self.read_noise_adu,
            **given,
        )


def _with(settings: _Settings, **given: Any) -> _Settings:
    """The settings with the given ones replaced."""
    known = {name: value for name, value in given.items() if value is not None}
    return replace(settings, **known)  # type: ignore[type-var]


def _moments(
    name: str, text: str | None, others: dict[str, Any], *, unit: str = ""
) -> dict[str, Any]:
    """Mean, spread and distribution of ``mean`` or ``from:to``."""
    if text is None:
        return {}
    try:
        numbers = tuple(float(part) for part in text.split(":"))
    except ValueError:
        numbers = ()
    if len(numbers) == 1:
        return {f"{name}{unit}": numbers[0]}
    if len(numbers) != 2:
        raise SettingError(
            f"{name} is {text!r}; expected a mean such as 1500, or from:to such as 700:900"
        )
    check_range(name, numbers, 1e-6, 1e9)
    if any(value is not None for value in others.values()):
        raise SettingError(
            f"{name} is {text!r}, which is a uniform distribution between two ends; give a mean "
            "to choose another spread or distribution"
        )
    mean, spread = uniform_moments(*numbers)
    return {f"{name}{unit}": mean, f"{name}_spread": spread, f"{name}_distribution": "uniform"}
