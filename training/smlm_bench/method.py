"""Input and output of every method: facts of a film, picture and molecules of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.localise.table import Molecules
from smlm_training.scoring.evaluate import truth_image

ZOOM = contract.MAP_ZOOM
"""SR pixels along a camera pixel: 12.5 nm for pixels of 100 nm."""


@dataclass(frozen=True)
class BlockResult:
    """Picture and molecules of a block of frames.

    ``image`` (``ZOOM`` Y, ``ZOOM`` X) float64 is its picture, summed over the frames, in
    any unit, since scores scale it. ``molecules`` are in nm with frames counted from
    the block's first, or None of a method that answers with an image alone. ``remark`` says
    what a method whose blocks are whole films found out about them.
    """

    image: NDArray[np.float64]
    molecules: Molecules | None
    remark: str = ""


class Method(Protocol):
    """A way to reconstruct a film, a block of frames at a time."""

    @property
    def block_frames(self) -> int:
        """Frames of a block; the last one of a film may be shorter."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """All that decides what comes out, beside the film, for JSON."""
        ...

    def reconstruct(self, frames_adu: NDArray[np.uint16]) -> BlockResult:
        """The picture, and the molecules, of frames (N, Y, X) uint16 in ADU."""
        ...


def no_molecules() -> Molecules:
    """An empty table."""
    return Molecules(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def histogram(
    molecules: Molecules,
    shape_px: tuple[int, int],
    pixel_size_nm: float,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Molecules counted on the fine grid, or added up by ``weights`` (K,).

    Parameters
    ----------
    molecules : Molecules
        In nm; those outside of the field are left out.
    shape_px : tuple of int
        Height and width of the field, in camera pixels.
    pixel_size_nm : float
        Edge of a camera pixel.
    weights : ndarray, shape (K,), float64, optional
        What each molecule adds; by default 1.
    """
    height, width = (ZOOM * size for size in shape_px)
    fine_nm = pixel_size_nm / ZOOM
    if weights is None:
        return truth_image(
            molecules.y_nm, molecules.x_nm, shape=(height, width), sr_pixel_size_nm=fine_nm
        )
    row, column = (np.floor(nm / fine_nm).astype(int) for nm in (molecules.y_nm, molecules.x_nm))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    image = np.zeros((height, width))
    np.add.at(image, (row[inside], column[inside]), weights[inside])
    return image


EXCESS_NOISE = {"emccd": 2.0, "scmos": 1.0}
"""Variance of a reading over that of its photons alone (doi 10.1371/journal.pone.0053671)."""


@dataclass(frozen=True)
class FilmFacts:
    """A film's facts, the same for all methods.

    Attributes
    ----------
    shape_px : tuple of int
        Height and width of the frames.
    pixel_size_nm : float
        Edge of a camera pixel in the sample.
    sigma_px : float
        Standard deviation of a spot before it is integrated over pixels.
    molecule_photons : float
        Photons of a typical molecule in a frame.
    adu_per_photon, offset_adu : float
        Gain and base level of the camera.
    excess_noise : float
        Of the camera: 2 for an EMCCD, 1 for others.
    levels_adu : ndarray, shape (2,), float32
        Usual background, and scale, as the client estimates them.
    """

    shape_px: tuple[int, int]
    pixel_size_nm: float
    sigma_px: float
    molecule_photons: float
    adu_per_photon: float
    offset_adu: float
    excess_noise: float
    levels_adu: NDArray[np.float32]

    @property
    def sampled_sigma_px(self) -> float:
        """Of the Gaussian that, sampled at pixel centres, is nearest to the integrated one."""
        return float(np.hypot(self.sigma_px, 12**-0.5))

    def photons(self, frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Readings (N, Y, X) in photons, none of them negative."""
        return np.maximum(frames_adu - self.offset_adu, 0) / self.adu_per_photon


PICASSO = "picasso"
"""Picasso's own fit, which runs in another Python."""

CLASSICAL_NAMES = ("blank", "widefield", "single-emitter", PICASSO, "cel0", "falcon")
"""Methods without a network."""


NETWORKS = ("deep-storm", "unet-interpolated", "unet", "unet-fast")
"""Those compared by default; any other of ``recon-train fit`` can be named, too."""


RUNTIMES = {
    "keras": "Keras",
    "onnx": "ONNX Runtime, in process",
    "local": "the client with --engine local",
    "triton": "Triton, embedded, CPU",
    "server": "Triton at --server",
}
"""Behind the @ of a network's name: what runs it."""


REFINED = "+refine"
"""After a network's name: the client refines its image."""


REFINING_RUNTIMES = ("local", "triton", "server")
"""Runtimes that the client uses itself."""


@dataclass(frozen=True)
class NetworkMethod:
    """The parts of a name such as ``unet+refine@triton``."""

    network: str
    runtime: str
    refined: bool

    @classmethod
    def of(cls, name: str) -> NetworkMethod:
        """Take the name of a method with a network to pieces."""
        network, _, runtime = name.partition("@")
        return cls(network.removesuffix(REFINED), runtime, network.endswith(REFINED))

    @property
    def by_client(self) -> bool:
        """Whether the client's whole path makes the image."""
        return self.refined or self.runtime == "local"


PEER = "deep-storm@keras"
"""Reference of speeds: Deep-STORM as its authors run it."""
