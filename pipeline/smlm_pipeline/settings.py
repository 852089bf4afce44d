"""The settings of a reconstruction; every default is defined here alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError

DEFAULT_PIXEL_SIZE_NM = 100.0
"""Camera pixel in the sample plane, where neither the user nor the file states it."""

MOLECULES_PROBABILITY = 0.5
"""Least probability of a molecule in a table."""

LEVEL_PIXELS = 1 << 26
"""Most pixels of the sample from which levels are estimated: 128 MiB."""

IN_FLIGHT_FIRST, IN_FLIGHT_MOST = 2, 8
"""Default number of concurrent requests for each server: at the start, and at most.

The pools of a server are sized for four such clients (`smlm_pipeline.deploy.memory_pools`)."""

REQUEST_PIXELS, MAP_REQUEST_PIXELS = 1 << 20, 1 << 18
"""Camera pixels, over all frames, of a request to a server that states no number; and to one with
a map network, whose answer is 64 values per camera pixel: 64 MiB."""


PRECISIONS = ("bf16", "f32")
"""Precisions of a network on a CPU: bfloat16, where the processor has it, and float32."""

PRECISION_VARIABLE = "RECON_PRECISION"
"""Environment variable of a server on a CPU: one of ``PRECISIONS``."""

ENGINE_RECORDS_VARIABLE = "RECON_ENGINE_RECORDS"
"""Environment variable of a server on a CPU: the folder where its networks state their engines."""


REFINE_OFF, REFINE_AUTO = "off", "auto"
"""Values of ``Settings.refine`` that are no number of steps."""

REFINE_STEPS_MOST = 100
"""Most steps of a refinement."""

AUTO_SR_PIXELS_MOST = 1 << 26
"""Largest image, in SR pixels, that ``"auto"`` refines: a field of 1024 x 1024 camera pixels at a
zoom of 8, which takes some four minutes of two cores and 4.4 GB of memory or disk. A rule by size
and not by a machine's memory, so that a film's image, and the parts of a film, do not depend on the
machine."""


BRIGHTNESS_OFF, BRIGHTNESS_AUTO = "off", "auto"
"""Values of ``Settings.brightness``."""

DRIFT_OFF, DRIFT_AUTO = "off", "auto"
"""Values of ``Settings.drift`` that are no file."""


def check_precision(precision: str | None) -> None:
    """Check that there is such a precision; None leaves the choice to the network's card.

    Raises
    ------
    SettingError
        If there is none.
    """
    if precision not in (None, *PRECISIONS):
        raise SettingError(f"precision is {precision!r}; expected {' or '.join(PRECISIONS)}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} is {value}; expected a whole number from {low} to {high}")


def _check_refine(refine: int | str) -> None:
    if isinstance(refine, int):
        _within("refine", refine, 1, REFINE_STEPS_MOST)
    elif refine not in (REFINE_OFF, REFINE_AUTO):
        raise SettingError(
            f"refine is {refine!r}; expected {REFINE_OFF}, {REFINE_AUTO} or a number of steps"
        )


def _check_brightness(brightness: str) -> None:
    if brightness not in (BRIGHTNESS_OFF, BRIGHTNESS_AUTO):
        raise SettingError(
            f"brightness is {brightness!r}; expected {BRIGHTNESS_OFF} or {BRIGHTNESS_AUTO}"
        )


@dataclass(frozen=True)
class Settings:
    """How a film is cut into chunks, sent and drawn."""

    model: str = contract.RECONSTRUCTION.name
    """Ensemble that makes the image."""

    precision: str | None = None
    """Precision of the network in an engine that is started here, one of ``PRECISIONS``; by
    default bfloat16, where the processor has it and the network's card allows it."""

    zoom: int = 8
    """SR pixels along the edge of a camera pixel."""

    refine: int | str = REFINE_AUTO
    """Refinement of the image: ``"off"``, ``"auto"`` (as far as one half of the film foretells the
    other, up to ``AUTO_SR_PIXELS_MOST``) or a number of steps."""

    brightness: str = BRIGHTNESS_AUTO
    """Whether to look before the run how unlike molecules are in brightness, and to correct the
    scale by it: ``"off"`` or ``"auto"``. It mends the counts of dense films of unlike molecules.
    Nothing is looked at for maps, which hold no molecules (docs/limits.md)."""

    drift: str | Path = DRIFT_OFF
    """Correction of the sample's drift: ``"off"``, ``"auto"`` (estimated from the molecules) or a
    file that states it for each frame (docs/drift.md)."""

    resolution: bool = False
    """Whether to measure the resolution of the image, by two halves of the film."""

    error_map: bool = False
    """Whether to compare the image, blurred back, with the wide field of the film."""

    chunk_frames: int | None = None
    """Frames of one request; by default as many as make the pixels that the server asks for: about
    a megapixel on a CPU, four on a GPU, a quarter of a megapixel of a map network on a CPU."""

    tile_px: int = contract.TILE_SIZES_PX[-1]
    """Largest edge of a tile; larger fields of view are cut into tiles."""

    in_flight: int | None = None
    """Number of concurrent requests: one is in the network while others are read, sent and drawn.
    By default it adapts, so that the servers are busy."""

    memory_bytes: int | None = None
    """Most memory of the client; by default a share of the machine's."""

    attempts: int = 10
    """How often a chunk is sent before the run fails, where another attempt may help: with pauses
    that add up to 33 s on average, longer than a server takes to stop or a small one to start. A
    server that refuses it because its queue is full is asked for ten minutes."""

    timeout_s: int = 600
    """Longest wait for the answer to one request before it is sent again: a slow laptop answers
    in seconds, a lost server never."""

    allow_partial: bool = False
    """Whether an image may lack chunks that fail for good."""

    checkpoint_every_s: float = 10.0
    """Shortest pause between two writings of the checkpoint."""

    level_frames: int = 512
    """Frames, evenly spread over the film, from which its levels are estimated."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_precision(self.precision)
        _within("zoom", self.zoom, 1, contract.MAX_ZOOM)
        if self.fixed_zoom not in (None, self.zoom):
            raise SettingError(
                f"zoom is {self.zoom}; expected {self.fixed_zoom}, the zoom of {self.model}: "
                f"leave out --zoom, or take --model {contract.RECONSTRUCTION.name}"
            )
        _check_refine(self.refine)
        if isinstance(self.refine, int) and self.makes_maps:
            raise SettingError(
                f"refine is {self.refine} and {self.model} answers with maps, which state no "
                f"precision; expected --refine {REFINE_OFF}, or another --model"
            )
        _check_brightness(self.brightness)
        if self.corrects_drift and self.makes_maps:
            raise SettingError(
                f"drift is {self.drift_name} and {self.model} answers with maps, which hold no "
                f"molecules; expected --drift {DRIFT_OFF}, or another --model"
            )
        if self.chunk_frames is not None:
            _within("chunk-frames", self.chunk_frames, 1, contract.MAX_FRAMES)
        _within("tile", self.tile_px, contract.TILE_SIZES_PX[0], contract.TILE_SIZES_PX[-1])
        if self.in_flight is not None:
            _within("in-flight", self.in_flight, 1, 64)
        if self.memory_bytes is not None:
            _within("memory", self.memory_bytes, 64 << 20, 1 << 50)
        _within("attempts", self.attempts, 1, 100)
        _within("timeout-s", self.timeout_s, 1, 86_400)
        if not 0 <= self.checkpoint_every_s <= 86_400:
            raise SettingError(
                f"checkpoint-every-s is {self.checkpoint_every_s:g}; expected 0 to 86400 seconds"
            )
        _within("level-frames", self.level_frames, 1, 10_000)
        if self.tile_px % contract.SIZE_MULTIPLE_PX:
            raise SettingError(
                f"tile is {self.tile_px} pixels; expected a multiple of {contract.SIZE_MULTIPLE_PX}"
            )

    @property
    def may_refine(self) -> bool:
        """Whether an image is to be refined, if it is not too large: maps cannot be."""
        return self.refine != REFINE_OFF and not self.makes_maps

    def refines(self, height_px: int, width_px: int) -> bool:
        """Whether the image of a field of this size is to be refined."""
        fits = height_px * width_px * self.zoom**2 <= AUTO_SR_PIXELS_MOST
        return self.may_refine and (fits or self.refine != REFINE_AUTO)

    @property
    def corrects_drift(self) -> bool:
        """Whether drift is to be taken out of the image."""
        return self.drift != DRIFT_OFF

    @property
    def drift_file(self) -> Path | None:
        """The file that states the drift, if it is not to be estimated."""
        return None if self.drift in (DRIFT_OFF, DRIFT_AUTO) else Path(self.drift)

    @property
    def drift_name(self) -> str:
        """``off``, ``auto`` or the name of the file."""
        return str(self.drift) if self.drift_file is None else self.drift_file.name

    @property
    def makes_maps(self) -> bool:
        """Whether the model's network answers with a map of SR pixels."""
        ensemble = contract.ENSEMBLES.get(self.model)  # a server elsewhere may have others
        return ensemble is not None and ensemble.answer.makes_maps

    @property
    def looks_at_molecules(self) -> bool:
        """Whether a look before the run sets the scale; a model elsewhere may answer with maps."""
        known = self.model in contract.ENSEMBLES and not self.makes_maps
        return known and self.brightness == BRIGHTNESS_AUTO

    @property
    def fixed_zoom(self) -> int | None:
        """The only zoom that the model makes; None where it makes any."""
        ensemble = contract.ENSEMBLES.get(self.model)
        return ensemble.fixed_zoom if ensemble is not None else None


CHANGE_NO_IMAGE = {
    *("chunk_frames", "in_flight", "attempts", "timeout_s", "tile_px", "memory_bytes"),
    "checkpoint_every_s",
}
"""Settings that may differ between runs whose images are the same."""

DEFAULTS = Settings()
"""The settings of a reconstruction that names none."""


def frames_per_chunk(
    settings: Settings, height_px: int, width_px: int, *, request_pixels: int | None = None
) -> int:
    """Frames of one request, for a field of view of this size.

    Few enough to keep two requests in memory on both sides and the progress bar
    moving, enough that the sums that come back are a small part of the work.

    Parameters
    ----------
    settings : Settings
        How the film is cut.
    height_px, width_px : int
        The field of view.
    request_pixels : int, optional
        Camera pixels of a request, as the server asks for; see ``REQUEST_PIXELS``.
    """
    if settings.chunk_frames is not None:
        return settings.chunk_frames
    usual = MAP_REQUEST_PIXELS if settings.makes_maps else REQUEST_PIXELS
    tile_y_px, tile_x_px = (
        min(contract.padded_px(size), settings.tile_px) for size in (height_px, width_px)
    )
    frames = (request_pixels or usual) // (tile_y_px * tile_x_px)
    answer = contract.MAP_ANSWER if settings.makes_maps else contract.DETECTION_ANSWER
    return max(min(frames, answer.frames_most(tile_y_px, tile_x_px)), 1)
