"""Keras network -> ONNX file with the contract's tensors, which normalises camera frames itself."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.errors import ContractError
from smlm_pipeline.film.survey import prepared
from smlm_training import networks  # noqa: F401 - registers the layers of a run's file
from smlm_training.delivery.activation_graph import activated
from smlm_training.delivery.card import write_card
from smlm_training.delivery.normalizing_graph import with_normalization
from smlm_training.delivery.onnx_graph import tidy
from smlm_training.delivery.reference import make_reference
from smlm_training.delivery.request_graph import with_request
from smlm_training.fitting import runs
from smlm_training.networks.unet import LOGITS
from smlm_training.simulation import presets

OPSET = 17
"""Understood by TensorRT 10 and 11, by TensorRT-RTX and by ONNX Runtime."""

PARITY_TOLERANCE = 1e-3
"""Largest difference between Keras and ONNX Runtime that export accepts, as a share of the
largest value of the same channel: a map's values are a thousandth of a detection's."""

SIZE_LIMIT_BYTES = 5_000_000
"""Size above which a file gets a notice: it is copied with every deployment."""

_FRAMES_AT_ONCE = 2
"""Frames compared at a time; layers on the SR grid take 100 MB a frame."""

_SMALLEST_SCALE = 1e-6
"""Divisor for a channel that is zero everywhere."""


@dataclass(frozen=True)
class Export:
    """An exported network, and its difference from Keras.

    ``parity_max_difference`` is the largest difference of two values,
    ``parity_relative`` the largest as a share of its channel's largest value.
    """

    path: Path
    answer: contract.Answer
    size_bytes: int
    parameters: int
    parity_max_difference: float
    parity_relative: float


def export(
    model: keras.Model,
    path: Path,
    frames_adu: NDArray[np.uint16],
    levels_adu: NDArray[np.float32],
) -> Export:
    """Write ``model`` to ``path`` and check it against Keras.

    Parameters
    ----------
    model : keras.Model
        (N, H, W, 1) normalised frames -> (N, H, W, 7) detections or (N, 8 H, 8 W, 1) maps,
        computing in float32.
    path : Path
        The ONNX file; replaced as a whole.
    frames_adu : ndarray, shape (N, H, W), uint16
        Frames on which both runtimes must agree.
    levels_adu : ndarray, shape (N, 2), float32
        Background and scale of each frame.

    Raises
    ------
    ContractError
        If the network's channels are not the contract's, or ONNX Runtime and
        Keras differ by more than ``PARITY_TOLERANCE``.
    """
    answer = answer_of(model)
    graph = convert(model, answer)
    onnx.checker.check_model(graph, full_check=True)
    beside = path.with_suffix(".partial.onnx")
    try:
        onnx.save(graph, beside)
        difference, relative = _parity(model, beside, frames_adu, levels_adu)
        if not relative <= PARITY_TOLERANCE:
            raise ContractError(
                f"the exported network differs from Keras by {relative:.2g} of a channel's "
                f"largest value; expected at most {PARITY_TOLERANCE:.0e}"
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    size_bytes = path.stat().st_size
    return Export(path, answer, size_bytes, model.count_params(), difference, relative)


def export_run(run: Path, output: Path, *, films: Collection[str] = ()) -> Export:
    """Export a finished run's network, with card ``model.json`` and ``reference.npz`` beside it.

    Parameters
    ----------
    run : Path
        Folder of a finished ``recon-train fit``.
    output : Path
        The ONNX file; it, its card and its reference are replaced when all are complete.
    films : collection of str
        Films to score it on; by default all of ``card.SCORED``, and robustness.

    Raises
    ------
    SettingError
        If the folder holds no finished run, or a name is not that of a film.
    ContractError
        As ``export``.
    """
    model, manifest = runs.load_network(run), runs.read_manifest(run)
    film = presets.preset_film("microtubules", seed=2, frames=16, height_px=64, width_px=64)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".exporting-") as folder:
        done = export(model, Path(folder) / output.name, *prepared(film.frames_adu))
        card = write_card(
            done.path,
            manifest,
            parameters=done.parameters,
            parity=done.parity_max_difference,
            films=films,
        )
        reference = make_reference(done.path)
        done.path.replace(output)
        for file in (card, reference):
            file.replace(output.with_name(file.name))
    return replace(done, path=output)


def answer_of(model: keras.Model) -> contract.Answer:
    """The kind of a model's answer, from its number of channels.

    Raises
    ------
    ContractError
        If no answer has such channels, or the model reads others than the contract's.
    """
    reads, channels = model.input_shape[-1], model.output_shape[-1]
    for answer in contract.ANSWERS:
        if channels == answer.channels and reads == contract.NORMALIZED.dims[1]:
            return answer
    raise ContractError(
        f"the network {model.name!r} reads {reads} channels and answers with {channels}; "
        f"expected {contract.NORMALIZED.dims[1]}, and {contract.DETECTIONS.dims[1]} for "
        f"detections or {contract.MAP.dims[1]} for a map"
    )


def convert(model: keras.Model, answer: contract.Answer) -> onnx.ModelProto:
    """ONNX graph of a network with its normalisation and activation, and the contract's tensors.

    N, H and W are left open.

    Inference makes a batch normalisation a multiplication and an addition, which
    TensorFlow's own optimiser and the converter's fold into the convolution before it.
    """
    name, channels = contract.NORMALIZED.name, contract.NORMALIZED.dims[1]
    signature = [tf.TensorSpec((None, None, None, channels), tf.float32, name=name)]
    last = answer.tensor
    if any(layer.name == LOGITS for layer in model.layers):
        last, model = answer.last_layer, keras.Model(model.inputs, model.get_layer(LOGITS).output)

    @tf.function(input_signature=signature, autograph=False)
    def forward(normalized: tf.Tensor) -> dict[str, tf.Tensor]:
        return {last.name: model(normalized, training=False)}

    graph, _ = tf2onnx.convert.from_function(
        forward,
        input_signature=signature,
        opset=OPSET,
        inputs_as_nchw=[name],
        outputs_as_nchw=[last.name],
    )
    tidy(graph, last, answer.zoom)
    layers = graph if last == answer.tensor else activated(graph)
    return with_request(with_normalization(layers))


def _parity(
    model: keras.Model,
    path: Path,
    frames_adu: NDArray[np.uint16],
    levels_adu: NDArray[np.float32],
) -> tuple[float, float]:
    """Largest difference of two values, and the largest as a share of its channel's largest."""
    network = OnnxNetwork(path, intra_op_threads=0)
    largest = np.zeros((2, network.answer.channels))
    for first in range(0, len(frames_adu), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        found = network.detect(frames_adu[part], levels_adu[part])
        normalized = normalize(frames_adu[part], levels_adu[part])
        expected = np.asarray(model(normalized.transpose(0, 2, 3, 1), training=False))
        expected = expected.transpose(0, 3, 1, 2)
        each = [np.abs(found - expected), np.abs(expected)]
        largest = np.maximum(largest, [values.max(axis=(0, 2, 3)) for values in each])
    difference, scale = largest
    relative = difference / np.maximum(scale, _SMALLEST_SCALE)
    return float(difference.max()), float(relative.max())
