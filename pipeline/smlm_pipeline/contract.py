"""The contract of client, server and training: names, dtypes, units and limits.

The ``config.pbtxt`` files of ``model_repository/`` are compared with this
module by a test, the exported network gets its tensor names from here, and the
client asks a server for ``CONTRACT_VERSION`` before it sends a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONTRACT_VERSION = 3
"""Incremented whenever a tensor, a unit or a limit below changes its meaning."""

CONTRACT_PARAMETER = "contract_version"
"""Key of the contract's version in a model's configuration."""

GRPC_PORT = 8001
"""Triton's usual gRPC port."""

SIZE_MULTIPLE_PX = 4
"""Height and width of a tile are multiples of this: 2 ** (levels of the U-Net)."""

TILE_SIZES_PX = (64, 128, 256, 512)
"""Largest tile edges of requests; on a GPU they are the optimisation profiles."""

MIN_FRAME_PX = 16
"""Smallest frame edge; in a smaller frame every pixel is border."""

HALO_PX = 24
"""Context around the core of a tile: the receptive field's radius, rounded up."""

MAX_FRAMES = 1024
"""Most frames of a request."""

MAX_ZOOM = 64
"""Most SR pixels along the edge of a camera pixel."""

MAX_CLASSES = 4
"""Most precision classes of a request."""

MAX_IMAGE_PIXELS = 1 << 27
"""Most SR pixels of a request's image, margin and all classes included: 512 MiB."""

MARGIN_PX = 1
"""Camera pixels drawn around a core, for detections that point out of it."""

MAX_OFFSET_PX = 1.0
"""Largest distance of a detection from the centre of its pixel, along y and x."""

MAP_ZOOM = 8
"""SR pixels along the edge of a camera pixel in a map network's answer: fixed by training."""

REQUEST_PIXELS_PARAMETER = "request_pixels"
"""Key of the camera pixels that a network's configuration asks clients to send at once."""

CLASS_BORDERS_PARAMETER = "class_borders_px"
"""Key of a network's class borders in its configuration; see `class_borders_of`."""

TRAINED_RANGES_PARAMETER = "trained_ranges"
"""Key of the ranges that a network was trained on, in its configuration; see `ranges_of`."""

DENSITY_RANGE, WIDTH_RANGE = "molecules_per_100_px", "sigma_px"
"""Names of these ranges: molecules of a frame in 10 x 10 camera pixels, and the sigma of the spots
in camera pixels."""

WEIGHT_ONE = 1 << 16
"""The integer that stands for one emitter: images count units of 2^-16 emitters."""

DETECTION_CHANNELS = (
    "probability",
    "offset_y_px",
    "offset_x_px",
    "sigma_y_px",
    "sigma_x_px",
    "intensity",
    "sigma_intensity",
)
"""Channels of ``DETECTIONS``; offsets are from the centre of the camera pixel.

The intensity is the light of the molecule in the frame in units of the frame's scale (see
``LEVELS``): times the scale it is in ADU, and that divided by the camera's gain in photons."""


MOLECULE_COLUMNS = (
    "frame",
    "y_px",
    "x_px",
    "sigma_y_px",
    "sigma_x_px",
    "probability",
    "intensity",
    "sigma_intensity",
)
"""Columns of ``MOLECULES``: the frame in its request, from 0; the place from the corner of the
tile's first pixel; the predicted standard deviations of its errors; the probability; the intensity
in units of the frame's scale, and the predicted standard deviation of its error."""

MOLECULE_PROBABILITY_MIN = 0.1
"""Molecules that are less probable are not in ``MOLECULES``."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as Triton names it: all axes, -1 for those of any length."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model of the repository and the tensors that go in and out; none has a batch axis."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


FRAMES = TensorSpec("FRAMES", "UINT8", (-1, -1, -1, 2))
"""Camera frames of one tile, N,H,W, in ADU: each value's low byte, then its high byte."""

LEVELS = TensorSpec("LEVELS", "FP32", (-1, 2))
"""Background and scale of each frame, N,2, in ADU: read by a network, and checked by a summation,
since a network on a GPU is a plan, which takes any numbers."""

NORMALIZED = TensorSpec("NORMALIZED", "FP32", (-1, 1, -1, -1))
"""(frame - background) / scale, N,1,H,W, dimensionless: a tensor inside of every network."""

LOGITS = TensorSpec("LOGITS", "FP32", (-1, len(DETECTION_CHANNELS), -1, -1))
"""What the last layer answers with, N,C,H,W: a tensor inside of every network of detections; see
`smlm_pipeline.compute.activation`."""

DETECTIONS = TensorSpec("DETECTIONS", "FP32", (-1, len(DETECTION_CHANNELS), -1, -1))
"""One candidate emitter per camera pixel, N,C,H,W; see ``DETECTION_CHANNELS``."""

MAP = TensorSpec("MAP", "FP32", (-1, 1, -1, -1))
"""Expected emitters per SR pixel, N,1,``MAP_ZOOM`` H,``MAP_ZOOM`` W."""

REQUEST = TensorSpec("REQUEST", "INT32", (2,))
"""64 random bits that a client draws for each message, so that an answer shows which one it is to.

Triton may hand the late answer of a model's process to the next request, as a success."""

COMPUTED_REQUEST = TensorSpec("COMPUTED_REQUEST", REQUEST.dtype, REQUEST.dims)
"""The REQUEST that a network got with its frames; a summation refuses another than its own."""

SUMMED_REQUEST = TensorSpec("SUMMED_REQUEST", REQUEST.dtype, REQUEST.dims)
"""The REQUEST whose frames are summed; a client takes no answer to another than its own."""

SWAPPED = "answer to another request"
"""Part of a summation's refusal of such answers; the client sends the chunk again."""

WINDOW = TensorSpec("WINDOW", "INT32", (7,))
"""zoom; the core of the tile: y, x, height, width, in camera pixels; the number S of precision
classes; 1 if the molecules are asked for, else 0."""

CLASS_BORDERS = TensorSpec("CLASS_BORDERS", "FP32", (MAX_CLASSES - 1,))
"""Of S precision classes the S - 1 ascending borders, in camera pixels; the rest is ignored.

A detection is in the class with as many borders below its sigma, which is the root mean square
of its sigmas along y and x."""

STEP = TensorSpec("STEP", "UINT16", (-1,))
"""Distances of the entries of WEIGHT, K, in SR pixels: the first entry's from the start of the
image, the others' from the entry before; the image is the core with its margin on the SR grid,
row by row and class by class."""

WEIGHT = TensorSpec("WEIGHT", "UINT16", (-1,))
"""The sums of N frames in the SR pixels that are not zero, K, in units of 1 / ``WEIGHT_ONE``
emitters. A sum that does not fit takes several entries of one place, a distance that does not
fit takes entries of weight 0."""

FRAME_COUNT = TensorSpec("FRAME_COUNT", "INT32", (1,))
"""N, the number of frames in the sums."""

MOLECULES = TensorSpec("MOLECULES", "FP32", (-1, len(MOLECULE_COLUMNS)))
"""Molecules in the core, M,k; see ``MOLECULE_COLUMNS``. Empty unless they are asked for."""

_FILM, _SUMS = (FRAMES, LEVELS, REQUEST), (STEP, WEIGHT, FRAME_COUNT, SUMMED_REQUEST)
_ASKED = (COMPUTED_REQUEST, LEVELS, REQUEST, WINDOW)

UNET = ModelSpec("unet", _FILM, (DETECTIONS, COMPUTED_REQUEST))
UNET_FAST = ModelSpec("unet_fast", _FILM, (DETECTIONS, COMPUTED_REQUEST))
UNET_MAP = ModelSpec("unet_map", _FILM, (MAP, COMPUTED_REQUEST))
SUMMATION = ModelSpec("summation", (DETECTIONS, *_ASKED, CLASS_BORDERS), (*_SUMS, MOLECULES))
SUMMATION_MAP = ModelSpec("summation_map", (MAP, *_ASKED), _SUMS)


@dataclass(frozen=True)
class Answer:
    """The kind of a network's answer to a frame, and the model that sums it.

    ``zoom`` is the number of the answer's pixels along the edge of a camera pixel. A map has a
    fixed zoom and is summed as it is; detections are drawn at any zoom. ``last_layer`` is the
    network's tensor before the activation, or the answer itself. ``pixels_most`` is the
    most camera pixels of a request, over its frames: what a TensorRT plan has memory for.
    """

    tensor: TensorSpec
    last_layer: TensorSpec
    summation: ModelSpec
    zoom: int
    makes_maps: bool
    pixels_most: int

    @property
    def name(self) -> str:
        """Name of the answer's tensor."""
        return self.tensor.name

    @property
    def channels(self) -> int:
        """Channels of the answer's tensor."""
        return self.tensor.dims[1]

    def frames_most(self, height_px: int, width_px: int) -> int:
        """Most frames of a request whose tile has this size; at least 1.

        They are those of the next of ``TILE_SIZES_PX``, whose profile a plan computes them with.
        """
        edge_px = max(height_px, width_px)
        fitting_px = (size_px for size_px in TILE_SIZES_PX if size_px >= edge_px)
        pixels = next(fitting_px, edge_px) ** 2
        return max(min(self.pixels_most // pixels, MAX_FRAMES), 1)


DETECTION_ANSWER = Answer(
    DETECTIONS, LOGITS, SUMMATION, zoom=1, makes_maps=False, pixels_most=1 << 22
)
MAP_ANSWER = Answer(MAP, MAP, SUMMATION_MAP, zoom=MAP_ZOOM, makes_maps=True, pixels_most=1 << 19)
ANSWERS = (DETECTION_ANSWER, MAP_ANSWER)


@dataclass(frozen=True)
class Ensemble:
    """The model that clients use: a network, and the summation of its answers."""

    name: str
    network: ModelSpec
    answer: Answer

    @property
    def steps(self) -> tuple[ModelSpec, ModelSpec]:
        """The models in the order of the data path."""
        return (self.network, self.answer.summation)

    @property
    def spec(self) -> ModelSpec:
        """The ensemble as a model: what goes into its steps from outside, and what comes out."""
        inner = self.network.outputs
        read = dict.fromkeys((*self.network.inputs, *self.answer.summation.inputs))
        inputs = [tensor for tensor in read if tensor not in inner]
        return ModelSpec(self.name, tuple(inputs), self.answer.summation.outputs)

    @property
    def fixed_zoom(self) -> int | None:
        """The only zoom of its images; None where any is possible."""
        return self.answer.zoom if self.answer.makes_maps else None


RECONSTRUCTION = Ensemble("reconstruction", UNET, DETECTION_ANSWER)
"""Draws the image from detections, at any zoom: the default."""

RECONSTRUCTION_FAST = Ensemble("reconstruction_fast", UNET_FAST, DETECTION_ANSWER)
"""Draws it from a smaller network's detections: in a third of the time, with larger errors."""

RECONSTRUCTION_MAP = Ensemble("reconstruction_map", UNET_MAP, MAP_ANSWER)
"""Sums the maps of a network that answers with the SR image itself."""

ENSEMBLES = {
    ensemble.name: ensemble
    for ensemble in (RECONSTRUCTION, RECONSTRUCTION_FAST, RECONSTRUCTION_MAP)
}
"""The ensembles of the repository, by name."""

NETWORKS = {ensemble.network.name: ensemble.network for ensemble in ENSEMBLES.values()}
"""The models that are networks, by name."""

MODELS = tuple(
    dict.fromkeys(model for item in ENSEMBLES.values() for model in (*item.steps, item.spec))
)
"""All models of the repository, each once."""


def answer_with(*, channels: int) -> Answer:
    """Find the kind of an answer that has so many channels."""
    return next(answer for answer in ANSWERS if answer.channels == channels)


def answer_summed_by(model: str) -> Answer:
    """Find the kind of the answers that a summation model sums."""
    return next(answer for answer in ANSWERS if answer.summation.name == model)


def ensemble_of(network: str) -> Ensemble:
    """Find the ensemble of a network of ``NETWORKS``."""
    return next(item for item in ENSEMBLES.values() if item.network.name == network)


def networks_that_answer(answer: Answer) -> dict[str, ModelSpec]:
    """Select the networks with such an answer; the default comes first."""
    return {item.network.name: item.network for item in ENSEMBLES.values() if item.answer == answer}


def padded_px(size_px: int) -> int:
    """The next multiple of ``SIZE_MULTIPLE_PX``, which is what networks take."""
    return -(-size_px // SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX


def class_borders_of(text: str) -> dict[int, tuple[float, ...]]:
    """Read class borders as configurations state them: ``"0.12; 0.10 0.15; 0.09 0.12 0.18"``.

    Returns
    -------
    dict
        For each number of classes from 2 its ascending borders, in camera pixels.
    """
    lists = [tuple(float(number) for number in part.split()) for part in text.split(";")]
    return {len(borders) + 1: borders for borders in lists if borders}


def class_borders_text(borders_px: dict[int, tuple[float, ...]]) -> str:
    """Write class borders as `class_borders_of` reads them."""
    return "; ".join(" ".join(f"{each:g}" for each in borders_px[count]) for count in borders_px)


def ranges_of(text: str) -> dict[str, tuple[float, float]]:
    """Read ranges as configurations state them: ``"molecules_per_100_px 0 20; sigma_px 0.8 2.2"``.

    Returns
    -------
    dict
        The lowest and the highest value of each, by its name.
    """
    parts = (part.split() for part in text.split(";") if part.strip())
    return {name: (float(low), float(high)) for name, low, high in parts}


def ranges_text(ranges: Mapping[str, tuple[float, float]]) -> str:
    """Write ranges as `ranges_of` reads them."""
    return "; ".join(f"{name} {low:g} {high:g}" for name, (low, high) in ranges.items())
