"""The methods by name, and how each is opened on a film."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smlm_bench.baselines.cel0.method import Cel0
from smlm_bench.baselines.falcon.method import Falcon
from smlm_bench.baselines.single_emitter import Blank, SingleEmitter, Widefield
from smlm_bench.console import load_tensorflow_quietly
from smlm_bench.method import FilmFacts, Method
from smlm_bench.networks import places
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport

with imported_when_used():  # methods without a network load no TensorFlow
    from smlm_bench.networks import checks, loading, runners

CLASSICAL: dict[str, Callable[[FilmFacts], Method]] = {
    "blank": Blank,
    "widefield": Widefield,
    "single-emitter": SingleEmitter,
    "cel0": Cel0,
    "falcon": Falcon,
}
"""Builders of the methods of ``CLASSICAL_NAMES``."""

_KERAS_BATCH = {contract.MAP_ANSWER: 4, contract.DETECTION_ANSWER: 32}


@dataclass(frozen=True)
class Sources:
    """Networks that are not in their usual place, by name, and a server elsewhere, if any."""

    networks: Mapping[str, Path] = field(default_factory=dict)
    server: str | None = None


def is_kept(name: str) -> bool:
    """Whether a method's result may be kept: a server elsewhere may have others tomorrow."""
    return not name.endswith("@server")


@contextlib.contextmanager
def opened(name: str, facts: FilmFacts, sources: Sources) -> Iterator[Method]:
    """Open a method on a film; a server that it needs runs within the ``with`` block.

    Parameters
    ----------
    name : str
        Name of the method.
    facts : FilmFacts
        Facts of the film.
    sources : Sources
        Networks and server.

    Yields
    ------
    Method
        The method.

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
    if runtime == "server" and sources.server is not None:
        with TritonTransport(
            Servers.parse(sources.server), model=places.ensemble_of(network)
        ) as transport:
            on_server = runners.TritonNetwork(transport, facts)
            on_server.parameters["server"] = f"Triton {transport.status().server_version}"
            yield on_server
        return
    source = places.find_network(network, sources.networks)
    with (
        tempfile.TemporaryDirectory() as folder,
        _RUNTIMES[runtime](network, source, Path(folder), facts) as method,
    ):
        method.parameters["sha256"] = places.fingerprint(source)
        yield method


@contextlib.contextmanager
def _keras(network: str, source: Path, _folder: Path, facts: FilmFacts) -> Iterator[Method]:
    model = checks.keras_model(network, source)
    yield runners.KerasNetwork(model, facts, batch=_KERAS_BATCH[loading.answer_of(network)])


@contextlib.contextmanager
def _onnx(network: str, source: Path, folder: Path, facts: FilmFacts) -> Iterator[Method]:
    yield runners.DirectOnnxNetwork(loading.onnx_network(network, source, folder), facts)


@contextlib.contextmanager
def _triton(network: str, source: Path, folder: Path, facts: FilmFacts) -> Iterator[Method]:
    repository, ensemble = loading.served_repository(network, source, folder)
    with (
        EmbeddedServer(repository) as server,
        TritonTransport(Servers.parse(server.address), model=ensemble) as transport,
    ):
        yield runners.TritonNetwork(transport, facts)


_RUNTIMES = {"keras": _keras, "onnx": _onnx, "triton": _triton}
"""How a network is opened by each of the runtimes on this machine."""
