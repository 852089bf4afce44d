"""The contract of client, server and training: names, dtypes, units and limits.

The ``config.pbtxt`` files of ``model_repository/`` are compared with this
module by a test, the exported network gets its tensor names from here, and the
client asks a server for ``CONTRACT_VERSION`` before it sends a frame.
"""

from __future__ import annotations

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

MAX_FRAMES_PER_CHUNK = 64
"""Most frames of a request: ``max_batch_size`` of ``unet``, checked by ``normalize``."""

MAX_ZOOM = 64
"""Most SR pixels along the edge of a camera pixel: bounds the memory of a request."""

MARGIN_PX = 1
"""Camera pixels drawn around a core, for detections that point out of it."""

MAX_OFFSET_PX = 1.0
"""Largest distance of a detection from the centre of its pixel, along y and x."""

MAP_ZOOM = 8
"""SR pixels along the edge of a camera pixel in a map network's answer: fixed by training."""

WEIGHT_ONE = 1 << 16
"""The integer that stands for one emitter: images count units of 2^-16 emitters."""

DETECTION_CHANNELS = (
    "probability",
    "offset_y_px",
    "offset_x_px",
    "sigma_y_px",
    "sigma_x_px",
)
"""Channels of ``DETECTIONS``; offsets are from the centre of the camera pixel."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as Triton names it: ``dims`` without the batch axis."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model of the repository and the tensors that go in and out."""

    name: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


FRAMES = TensorSpec("FRAMES", "UINT16", (-1, -1))
"""Camera frames of one tile, N,H,W, in ADU."""

LEVELS = TensorSpec("LEVELS", "FP32", (2,))
"""Background and scale of each frame, N,2, in ADU."""

NORMALIZED = TensorSpec("NORMALIZED", "FP32", (1, -1, -1))
"""(frame - background) / scale, N,1,H,W, dimensionless."""

DETECTIONS = TensorSpec("DETECTIONS", "FP32", (len(DETECTION_CHANNELS), -1, -1))
"""One candidate emitter per camera pixel, N,C,H,W; see ``DETECTION_CHANNELS``."""

MAP = TensorSpec("MAP", "FP32", (1, -1, -1))
"""Expected emitters per SR pixel, N,1,``MAP_ZOOM`` H,``MAP_ZOOM`` W."""

WINDOW = TensorSpec("WINDOW", "INT32", (5,))
"""zoom, then the core of the tile: y, x, height, width, in camera pixels."""

IMAGE = TensorSpec("IMAGE", "INT32", (-1, -1))
"""The core and its margin on the SR grid, summed over N frames."""

FRAME_COUNT = TensorSpec("FRAME_COUNT", "INT32", (1,))
"""N, the number of frames in IMAGE."""


def _explicit(spec: TensorSpec) -> TensorSpec:
    """The same tensor in a model without a batch axis: frames first."""
    return TensorSpec(spec.name, spec.dtype, (-1, *spec.dims))


NORMALIZE = ModelSpec(
    "normalize", 0, (_explicit(FRAMES), _explicit(LEVELS)), (_explicit(NORMALIZED),)
)
UNET = ModelSpec("unet", MAX_FRAMES_PER_CHUNK, (NORMALIZED,), (DETECTIONS,))
UNET_FAST = ModelSpec("unet_fast", MAX_FRAMES_PER_CHUNK, (NORMALIZED,), (DETECTIONS,))
UNET_MAP = ModelSpec("unet_map", MAX_FRAMES_PER_CHUNK, (NORMALIZED,), (MAP,))
SUMMATION = ModelSpec("summation", 0, (_explicit(DETECTIONS), WINDOW), (IMAGE, FRAME_COUNT))
SUMMATION_MAP = ModelSpec("summation_map", 0, (_explicit(MAP), WINDOW), (IMAGE, FRAME_COUNT))


@dataclass(frozen=True)
class Answer:
    """The kind of a network's answer to a frame, and the model that sums it.

    ``zoom`` is the number of the answer's pixels along the edge of a camera pixel. A map has a
    fixed zoom and is summed as it is; detections are drawn at any zoom.
    """

    tensor: TensorSpec
    summation: ModelSpec
    zoom: int
    makes_maps: bool

    @property
    def name(self) -> str:
        """Name of the answer's tensor."""
        return self.tensor.name

    @property
    def channels(self) -> int:
        """Channels of the answer's tensor."""
        return self.tensor.dims[0]


DETECTION_ANSWER = Answer(DETECTIONS, SUMMATION, zoom=1, makes_maps=False)
MAP_ANSWER = Answer(MAP, SUMMATION_MAP, zoom=MAP_ZOOM, makes_maps=True)
ANSWERS = (DETECTION_ANSWER, MAP_ANSWER)


@dataclass(frozen=True)
class Ensemble:
    """The model that clients use: ``normalize``, a network, and the summation of its answers."""

    name: str
    network: ModelSpec
    answer: Answer

    @property
    def steps(self) -> tuple[ModelSpec, ModelSpec, ModelSpec]:
        """The models in the order of the data path."""
        return (NORMALIZE, self.network, self.answer.summation)

    @property
    def spec(self) -> ModelSpec:
        """The ensemble as a model: all ensembles look the same from outside."""
        inputs = (_explicit(FRAMES), _explicit(LEVELS), WINDOW)
        return ModelSpec(self.name, 0, inputs, (IMAGE, FRAME_COUNT))

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
