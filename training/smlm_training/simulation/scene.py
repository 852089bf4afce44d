"""All settings of a film, and the film as blocks of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from smlm_training.simulation.backgrounds import Background
from smlm_training.simulation.bounds import check_one_of, check_whole, check_within
from smlm_training.simulation.camera import Camera, Emccd
from smlm_training.simulation.fluorophores import Fluorophore
from smlm_training.simulation.profiles import integrated_profile, sampled_profile
from smlm_training.simulation.samples import AnySample, Field
from smlm_training.simulation.scmos import ScmosChip
from smlm_training.simulation.simulate import Film, film
from smlm_training.simulation.structures import Structure

Psf = Literal["integrated", "sampled"]

_HELD_OUT = 7_771
"""Separates these films' random numbers from those of training."""

_BLOCK_PIXELS = 2**23
"""Pixels of a block of frames; the memory of a film is a few times that."""


@dataclass(frozen=True)
class Scene:
    """A sample, its molecules, the background, a camera, and the size of the film.

    The same scene gives the same film. The same seed gives the same molecules
    with any background, camera and shape of the spot.
    """

    sample: AnySample
    fluorophore: Fluorophore
    background: Background
    camera: Emccd | ScmosChip
    psf: Psf = "integrated"
    frames: int = 200
    height_px: int = 64
    width_px: int = 64
    pixel_size_nm: float = 100.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse settings of an impossible film.

        Raises
        ------
        SettingError
            Naming the setting, its value and what was expected.
        """
        check_one_of("PSF", self.psf, get_args(Psf))
        check_whole("number of frames", self.frames, 2, 1_000_000)
        check_whole("height in pixels", self.height_px, 16, 4096)
        check_whole("width in pixels", self.width_px, 16, 4096)
        check_within("pixel size in nm", self.pixel_size_nm, 10.0, 1000.0)
        check_whole("seed", self.seed, 0, 2**63)
        check_within("camera gain in ADU a photon", self.camera.adu_per_photon, 1e-3, 1e4)
        check_within("camera offset in ADU", self.camera.offset_adu, 0.0, 60_000.0)
        check_within("camera read noise in ADU", self.camera.read_noise_adu, 0.0, 1e4)

    @property
    def field(self) -> Field:
        """The field of view; molecules 5 sigma beyond it, at least 6 pixels, shine into it."""
        border_px = max(6.0, 5 * self.fluorophore.sigma_px)
        return Field(self.height_px, self.width_px, self.pixel_size_nm, border_px)

    @property
    def block_frames(self) -> int:
        """Frames of a block."""
        return max(_BLOCK_PIXELS // (self.height_px * self.width_px), 1)

    @cached_property
    def background_photons(self) -> float | NDArray[np.float64]:
        """Mean photons of every pixel that come from no molecule; a number if they are alike."""
        if self.background.kind == "flat":
            return float(self.background.photons)
        return self.background.expected_photons(self._rng(0), self.field)

    def blocks(self) -> Iterator[Film]:
        """The film in blocks of frames, each with separate random numbers.

        The structure and the first block share one stream of random numbers, each
        further block has its own, derived from the seed and the block's number.

        Raises
        ------
        ReconError
            If a map of the camera does not fit.
        """
        return self._filmed(self._camera())

    def _camera(self) -> Camera:
        if isinstance(self.camera, Emccd):
            return self.camera
        return self.camera.camera(self.height_px, self.width_px)

    def _filmed(self, camera: Camera) -> Iterator[Film]:
        rng = np.random.default_rng([_HELD_OUT, self.seed])
        structure = self.sample.structure(rng, self.field)
        for block, first in enumerate(range(0, self.frames, self.block_frames)):
            frames = min(self.block_frames, self.frames - first)
            yield self._film(self._rng(block) if block else rng, structure, camera, frames)

    def _rng(self, stream: int) -> np.random.Generator:
        """Random numbers of a block, from 1, or of the background, which is stream 0."""
        entropy = [_HELD_OUT, self.seed]
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(stream,)))

    def _film(
        self, rng: np.random.Generator, structure: Structure, camera: Camera, frames: int
    ) -> Film:
        return film(
            rng,
            structure=structure,
            fluorophore=self.fluorophore,
            camera=camera,
            background_photons=self.background_photons,
            frames=frames,
            height_px=self.height_px,
            width_px=self.width_px,
            profile=integrated_profile if self.psf == "integrated" else sampled_profile,
        )
