"""The state of a server and of its models, as the server reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from smlm_pipeline import contract


@dataclass(frozen=True)
class ServedNetwork:
    """The network of an ensemble as its server states it.

    ``version`` is the one that answers; ``request_pixels`` are the camera pixels, over all
    frames, that a request should have, or None where the server states no number.
    ``class_borders_px`` are the borders of its precision classes, for each number of classes
    (`contract.class_borders_of`), ``trained_ranges`` the ranges that it was trained on
    (`contract.ranges_of`); each is empty where the server states none.
    """

    version: str
    request_pixels: int | None
    class_borders_px: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelStatus:
    """The state of one model; ``versions`` are in ascending order.

    ``request_pixels``, ``class_borders_px`` and ``trained_ranges`` are stated by networks alone;
    see `ServedNetwork`. ``queue_most`` are the requests that may wait in its queue, or None if it
    has no bound.
    """

    name: str
    ready: bool
    versions: tuple[str, ...] = ()
    contract_version: str | None = None
    request_pixels: int | None = None
    class_borders_px: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    trained_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    queue_most: int | None = None

    @property
    def fits(self) -> bool:
        """Whether this client can use it."""
        return self.ready and self.contract_version == str(contract.CONTRACT_VERSION)


@dataclass(frozen=True)
class ServerStatus:
    """The state of a server and of the models of this client.

    ``asked`` is the model that requests name; a server may lack the models of others.
    """

    address: str
    ready: bool
    server_version: str
    asked: str
    models: tuple[ModelStatus, ...]

    @property
    def network_version(self) -> str | None:
        """The version that all servers of an image have to share; None without the model."""
        versions = {model.name: model.versions for model in self.models}
        served = versions.get(network_of(self.asked)) or versions.get(self.asked)
        return served[-1] if served else None

    @property
    def fits(self) -> bool:
        """Whether the model ``asked``, with its steps, can be used."""
        needed = {self.asked}
        if self.asked in contract.ENSEMBLES:
            needed |= {step.name for step in contract.ENSEMBLES[self.asked].steps}
        return self.ready and all(model.fits for model in self.models if model.name in needed)

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dictionary for JSON."""
        models = [{**asdict(model), "fits": model.fits} for model in self.models]
        return {**asdict(self), "models": models, "fits": self.fits}


def network_of(model: str) -> str:
    """Name the model whose version counts: the network of an ensemble is what is published."""
    return contract.ENSEMBLES[model].network.name if model in contract.ENSEMBLES else model
