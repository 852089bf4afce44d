"""The identity of a run: all that must be equal for it to continue from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.engines.opening import Engine
from smlm_pipeline.film.survey import Survey
from smlm_pipeline.run.plan import RunPlan

SOFTWARE = f"smlm-recon {smlm_pipeline.__version__}"
"""The release, as checkpoints and images state it."""


@dataclass(frozen=True)
class RunIdentity:
    """All that determines the answers of a run, and how they are summed.

    ``film_sha256`` identifies the film (`smlm_pipeline.film.survey.Survey`); ``zoom`` to
    ``requests`` state how it is cut. ``network_sha256`` is empty where a server does not state it,
    and then any network of that version fits. ``network_engine`` and ``precision`` are empty for
    running servers; their answers are not mixed with those of an engine that states them.
    ``brightness_spread`` is the survey's. ``precision_classes`` are their number and their borders.
    ``first_request`` is the index of the first request, which is not 0 for a part of a film.
    """

    film_sha256: str
    model: str
    contract_version: int
    software: str
    zoom: int
    chunk_frames: int
    tile_px: int
    requests: int
    model_version: str
    network_sha256: str
    network_engine: str
    precision: str
    brightness_spread: float | None = None
    precision_classes: str = "1"
    first_request: int = 0

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    @property
    def indices(self) -> range:
        """Indices of the requests."""
        return range(self.first_request, self.first_request + self.requests)

    def differences(self, kept: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        """Name, kept value and own value of each field that differs."""
        for name, value in self.as_dict().items():
            stated = name != "network_sha256" or (value and kept.get(name))
            if stated and kept.get(name) != value:
                yield name, kept.get(name), value


def identity_of(
    survey: Survey,
    model: str,
    plan: RunPlan,
    engine: Engine,
    class_borders_px: Sequence[float] = (),
) -> RunIdentity:
    """Identify the run of a model by its film, plan, network and precision classes."""
    return RunIdentity(
        film_sha256=survey.film_sha256,
        model=model,
        contract_version=contract.CONTRACT_VERSION,
        software=SOFTWARE,
        zoom=plan.zoom,
        chunk_frames=plan.chunk_frames,
        tile_px=plan.tile_px,
        requests=len(plan.chunks),
        model_version=engine.model_version,
        network_sha256=engine.network_sha256,
        network_engine=engine.network_engine.name,
        precision=engine.network_engine.precision,
        brightness_spread=survey.brightness_spread,
        precision_classes=" ".join(f"{each:g}" for each in (plan.classes, *class_borders_px)),
        first_request=plan.first_request,
    )
