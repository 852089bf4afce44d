"""The methods by name, and how each is opened on a film."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smlm_bench.baselines.cel0.method import Cel0
from smlm_bench.baselines.falcon.method import Falcon
from smlm_bench.baselines.picasso.method import Picasso, PicassoSettings, worker_argument
from smlm_bench.baselines.picasso.process import PicassoProcess, find_python
from smlm_bench.baselines.single_emitter import Blank, SingleEmitter, Widefield
from smlm_bench.console import load_tensorflow_quietly
from smlm_bench.method import PICASSO, FilmFacts, Method, NetworkMethod
from smlm_bench.networks import places
from smlm_bench.networks.client import ClientNetwork
from smlm_pipeline import contract
from smlm_pipeline.cli.lazy_commands import imported_when_used
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.opening import open_engine
from smlm_pipeline.engines.triton.addresses import Servers
from smlm_pipeline.engines.triton.transport import TritonTransport
from smlm_pipeline.settings import Settings

with imported_when_used():  # methods without a network load no TensorFlow
    from smlm_bench.networks import checks, loading, runners

CLASSICAL: dict[str, Callable[[FilmFacts], Method]] = {
    "blank": Blank,
    "widefield": Widefield,
    "single-emitter": SingleEmitter,
    "cel0": Cel0,
    "falcon": Falcon,
}
"""Builders of the methods of ``CLASSICAL_NAMES`` but for Picasso."""

_KERAS_BATCH = {contract.MAP_ANSWER: 4, contract.DETECTION_ANSWER: 32}


@dataclass(frozen=True)
class Sources:
    """What methods need and is not in its usual place.

    ``networks`` by name, a ``server`` elsewhere, and the Python that has Picasso.
    """

    networks: Mapping[str, Path] = field(default_factory=dict)
    server: str | None = None
    picasso_python: Path | None = None


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
        Networks, server and Picasso.

    Yields
    ------
    Method
        The method.

    Raises
    ------
    SettingError
        If a network or Picasso is missing.
    ServerError
        If there is no server, or it cannot be started.
    """
    if name in CLASSICAL:
        yield CLASSICAL[name](facts)
        return
    if name == PICASSO:
        with _picasso(facts, find_python(sources.picasso_python)) as picasso:
            yield picasso
        return
    named = NetworkMethod.of(name)
    if named.by_client:
        with _client(named, sources) as client:
            yield client
        return
    load_tensorflow_quietly()
    network, runtime = named.network, named.runtime
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
def _picasso(facts: FilmFacts, python: Path) -> Iterator[Method]:
    settings = PicassoSettings()
    with PicassoProcess(python, worker_argument(facts, settings)) as process:
        yield Picasso(process, facts, settings)


@contextlib.contextmanager
def _client(named: NetworkMethod, sources: Sources) -> Iterator[Method]:
    """The client's own engine, with the network as it ships."""
    model = places.ensemble_of(named.network)
    at = sources.server if named.runtime == "server" and sources.server else named.runtime
    with (
        open_engine(at, model, timeout_s=Settings.timeout_s) as engine,
        ClientNetwork(engine, model, refine=named.refined) as client,
    ):
        client.parameters["sha256"] = engine.network_sha256
        yield client


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
        EmbeddedServer(repository, private=True) as server,
        TritonTransport(Servers.parse(server.address), model=ensemble) as transport,
    ):
        yield runners.TritonNetwork(transport, facts)


_RUNTIMES = {"keras": _keras, "onnx": _onnx, "triton": _triton}
"""How a network is opened by each of the runtimes on this machine."""
