"""The start of a further training: the network of a run, or of a server's ONNX file.

An ONNX file names its constants by the nodes that read them, not by Keras' layers.
To match constants with layers, the same network is exported once more with weights that
are all different, and each of them is searched for in that file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.errors import SettingError
from smlm_pipeline.model_repository import find_model_repository, network_file
from smlm_training.delivery.candidate import read_card
from smlm_training.delivery.export import convert
from smlm_training.fitting.runs import Start, start_from_run
from smlm_training.networks import NETWORKS, kind_of

Constants = dict[str, NDArray[Any]]


def start_from(path: Path) -> Start:
    """The network at ``path``, to train further.

    Parameters
    ----------
    path : Path
        The folder of a finished run, an ONNX file with its card ``model.json`` beside it,
        or the name of a network of the model repository, such as ``unet``.

    Raises
    ------
    SettingError
        If there is no network, or its weights cannot be found in the file.
    ContractError
        If the file is not the one of its card, or of another contract.
    """
    if path.is_dir():
        return start_from_run(path)
    if not path.exists() and str(path) in contract.NETWORKS:
        path = network_file(find_model_repository(), str(path))
    network, _, card = read_card(path)
    training = card.get("training", {})
    name = training.get("recipe", {}).get("network", "")
    kind_of(name)
    return Start(_weights(path, onnx.load_from_string(network), name), training)


def mean_of(starts: Sequence[Start]) -> Start | None:
    """The mean of the weights of several networks, one of which was trained from another.

    It is often better than both (doi 10.48550/arXiv.2109.01903). Its manifest is that of the
    first, with those of the others as ``mean_with``; without any network there is no start.

    Raises
    ------
    SettingError
        If the networks are of different kinds.
    """
    if len(starts) < 2:
        return starts[0] if starts else None
    first, *others = starts
    shapes = [[weight.shape for weight in start.weights] for start in starts]
    if any(shape != shapes[0] for shape in shapes):
        raise SettingError(
            "the starts have other layers; expected several runs of the same network for a mean of "
            "their weights, or one start"
        )
    weights = [
        np.mean(each, axis=0, dtype=np.float64).astype(each[0].dtype)
        for each in zip(*(start.weights for start in starts), strict=True)
    ]
    manifest = {**first.manifest, "mean_with": [dict(start.manifest) for start in others]}
    return Start(weights, manifest)


def _weights(path: Path, network: onnx.ModelProto, name: str) -> list[NDArray[Any]]:
    """Values of the Keras network's weights, in its order."""
    published = _constants(network)
    answer = kind_of(name).answer
    keras.mixed_precision.set_dtype_policy("float32")
    model = NETWORKS[name]()
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape))
    marked = _constants(convert(model, answer))
    places = [_place(marked, np.asarray(variable)) for variable in model.weights]
    alike = {each: value.shape for each, value in marked.items()} == {
        each: value.shape for each, value in published.items()
    }
    if not alike or None in places:
        raise SettingError(
            f"the weights of {name!r} cannot be found in {path}: its normalisation is folded into "
            "its convolutions, or another release exported it; start from the folder of its run"
        )
    return [_as_keras(published[place]) for place in places if place is not None]


def _constants(graph: onnx.ModelProto) -> Constants:
    return {each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}


def _place(marked: Constants, weight: NDArray[Any]) -> str | None:
    """Name of the constant that holds this weight."""
    return next(
        (name for name, value in marked.items() if np.array_equal(_as_keras(value), weight)), None
    )


def _as_keras(value: NDArray[Any]) -> NDArray[Any]:
    """Kernels (out, in, height, width) as Keras has them: (height, width, in, out)."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
