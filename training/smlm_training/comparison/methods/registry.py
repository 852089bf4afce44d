"""The methods by name, and how each is opened on a film."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smlm_training.comparison.methods.baselines import Blank, Widefield
from smlm_training.comparison.methods.cel0 import Cel0
from smlm_training.comparison.methods.falcon import Falcon
from smlm_training.comparison.methods.film_facts import FilmFacts
from smlm_training.comparison.methods.found import Method
from smlm_training.comparison.methods.single_emitter import SingleEmitter
from smlm_training.comparison.quiet_tensorflow import load_tensorflow_quietly

CLASSICAL: dict[str, Callable[[FilmFacts], Method]] = {
    "blank": Blank,
    "widefield": Widefield,
    "single-emitter": SingleEmitter,
    "cel0": Cel0,
    "falcon": Falcon,
}
"""Those of ``CLASSICAL_NAMES``."""

_KERAS_BATCH = {"map": 4, "detections": 32}


@dataclass(frozen=True)
class Sources:
    """Networks that are not in their usual place, by name, and a server elsewhere if any."""

    networks: Mapping[str, Path] = field(default_factory=dict)
    server: str | None = None


def is_kept(name: str) -> bool:
    """Whether a method's result may be kept: a server elsewhere may serve others tomorrow."""
    return not name.endswith("@server")


@contextlib.contextmanager
def opened(name: str, facts: FilmFacts, sources: Sources) -> Iterator[Method]:
    """The method on a film; a server that it needs runs within the ``with`` block.

    Raises
    ------
    SettingError
        If a network is missing.
    ServerError
        If there is no server, or it cannot be started.
    """
    if name in CLASSICAL:
        yield CLASSICAL[name](facts)
        return
    load_tensorflow_quietly()
    network, _, runtime = name.partition("@")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if runtime == "keras":
            yield _keras(network, facts, sources)
        elif runtime == "onnx":
            yield _onnx(network, facts, sources, Path(folder))
        else:
            yield stack.enter_context(_triton(network, runtime, facts, sources, Path(folder)))


def _keras(network: str, facts: FilmFacts, sources: Sources) -> Method:
    import tensorflow as tf

    from smlm_training.comparison.methods import network_files
    from smlm_training.comparison.methods.keras_network import KerasNetwork
    from smlm_training.comparison.methods.network_checks import keras_model
    from smlm_training.networks import kind_of

    source = network_files.find_network(network, sources.networks)
    model = keras_model(network, source)
    method = KerasNetwork(model, facts, batch=_KERAS_BATCH[kind_of(network).answers])
    method.parameters |= {
        "sha256": network_files.fingerprint(source),
        "tensorflow": tf.__version__,
    }
    return method


def _onnx(network: str, facts: FilmFacts, sources: Sources, folder: Path) -> Method:
    from smlm_training.comparison.methods import network_files
    from smlm_training.comparison.methods.onnx_network import OnnxNetwork

    source = network_files.find_network(network, sources.networks)
    method = OnnxNetwork(network_files.onnx_network(network, source, folder), facts)
    method.parameters["sha256"] = network_files.fingerprint(source)
    return method


@contextlib.contextmanager
def _triton(
    network: str, runtime: str, facts: FilmFacts, sources: Sources, folder: Path
) -> Iterator[Method]:
    from smlm_pipeline.server import EmbeddedServer
    from smlm_pipeline.triton import TritonTransport
    from smlm_training.comparison.methods import network_files
    from smlm_training.comparison.methods.triton_network import TritonNetwork

    with contextlib.ExitStack() as stack:
        told: dict[str, str] = {}
        if runtime == "server" and sources.server is not None:
            address, ensemble = sources.server, network_files.ensemble_of(network)
        else:
            source = network_files.find_network(network, sources.networks)
            repository, ensemble = network_files.served_repository(network, source, folder)
            address = stack.enter_context(EmbeddedServer(repository)).address
            told = {"sha256": network_files.fingerprint(source)}
        transport = stack.enter_context(TritonTransport(address, model=ensemble))
        method = TritonNetwork(transport, facts)
        method.parameters |= told or {"server": f"Triton {transport.status().server_version}"}
        yield method
