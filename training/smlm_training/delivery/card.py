"""``model.json``: a network's training data, code, scores and robustness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

import smlm_pipeline
from smlm_pipeline import contract
from smlm_pipeline.compute import (
    conditioning,
    draw,
    fluctuations,
    frame_kinds,
    levels,
    normalize,
    persistence,
    pixel_repair,
    tiles,
)
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.onnx_network import OnnxNetwork
from smlm_pipeline.model_repository import CPU_PRECISION
from smlm_training.scoring import robustness
from smlm_training.scoring.class_borders import class_borders_px
from smlm_training.scoring.film_scores import score_scene
from smlm_training.simulation import presets
from smlm_training.simulation.bounds import check_one_of
from smlm_training.simulation.scene import Scene

UNSEEN = "evaluate, unseen"
"""Another film of the kind that networks are chosen by; no choice is made by it."""

BF16_CHANGE_MOST = 0.01
"""Largest change of NMSE, as a share of it, with which bfloat16 is a default on CPUs."""

SCORED: dict[str, Scene] = {
    **{name: scene for name, scene in presets.PRESETS.items() if name != "microtubules"},
    "uniform-1": replace(presets.PRESETS["uniform-1"], frames=800),
    UNSEEN: replace(presets.PRESETS["evaluate"], seed=3610),
}
"""Films of the card. ``evaluate, unseen`` is another film of the kind that the network was chosen
by; no choice was made by it. ``uniform-1`` is longer, since gridding is measured on it, and with
fewer molecules only chance would show."""


def held_out_scores(network: OnnxNetwork, films: Collection[str] = ()) -> dict[str, Any]:
    """Scores on films of ``SCORED``, all of them by default, which training never uses.

    Raises
    ------
    SettingError
        If a name is not that of a film.
    """
    for name in films:
        check_one_of("film", name, SCORED)
    chosen = films or SCORED
    return {name: score_scene(network, SCORED[name]).as_dict() for name in chosen}


def code_sha256() -> str:
    """Hash of the sources that determine a network: films, training, networks, kernels."""
    package = Path(__file__).parents[1]
    sources = [Path(contract.__file__)]
    modules = [conditioning, levels, fluctuations, persistence, frame_kinds]
    modules += [pixel_repair, normalize, tiles, draw]
    sources += [Path(str(module.__file__)) for module in modules]
    for room in ("simulation", "fitting", "networks"):
        sources += sorted((package / room).glob("*.py"))
    total = hashlib.sha256()
    for source in sources:
        total.update(source.name.encode() + b"\0" + source.read_bytes())
    return total.hexdigest()


def served_as(manifest: Mapping[str, Any], network: OnnxNetwork) -> str:
    """The model that serves a network: the one of its name, or the first with such an answer."""
    fitting = contract.networks_that_answer(network.answer)
    name = str(manifest.get("recipe", {}).get("network")).replace("-", "_")
    return name if name in fitting else next(iter(fitting))


def _reason_for_float32(network_file: Path, scores: Mapping[str, Any]) -> str:
    """Why bfloat16 is no default on CPUs; empty if it is.

    It is where it changes NMSE on the unseen film by less than `BF16_CHANGE_MOST`.
    """
    expected = scores.get(UNSEEN, {}).get("nmse_percent_at_blur_0_1_2_px")
    if not expected:
        return f"it was not scored on '{UNSEEN}'"
    network = open_network(network_file, precision="bf16")
    if network.engine.precision != "bf16":
        return "this machine has no bfloat16 to try"
    found = score_scene(network, SCORED[UNSEEN]).image.nmse_percent
    change = max(abs(each / other - 1) for each, other in zip(found, expected, strict=True))
    if change < BF16_CHANGE_MOST:
        return ""
    return f"bfloat16 changes its errors by {100 * change:.1f} %"


def _class_borders(network: OnnxNetwork) -> dict[str, Any]:
    """Class borders from all films of a card, for a network that answers with detections."""
    if network.answer.makes_maps:
        return {}
    return {contract.CLASS_BORDERS_PARAMETER: class_borders_px(network, SCORED.values())}


def write_card(
    network_file: Path,
    manifest: Mapping[str, Any],
    *,
    parameters: int,
    parity: float,
    films: Collection[str] = (),
) -> Path:
    """Write ``model.json`` beside the network; the path of the card.

    A card with some ``films`` only leaves robustness out too, and has a warning about that.
    """
    network = OnnxNetwork(network_file, intra_op_threads=0)
    scores = held_out_scores(network, films)
    found = [] if films else robustness.changes(network)
    unknown = [f"scored on {', '.join(films)} alone; robustness was not looked at"] if films else []
    reason = _reason_for_float32(network_file, scores)
    if reason:
        unknown.append(f"computes in float32 on CPUs, half as fast as in bfloat16: {reason}")
    card = {
        "name": served_as(manifest, network),
        "contract_version": contract.CONTRACT_VERSION,
        "sha256": hashlib.sha256(network_file.read_bytes()).hexdigest(),
        CPU_PRECISION: "f32" if reason else "bf16",
        **_class_borders(network),
        "parameters": parameters,
        "onnx_against_keras_max_difference": parity,
        "made_by": f"recon-train fit, recon-train export; smlm-recon {smlm_pipeline.__version__}",
        "code_sha256": code_sha256(),
        "training": manifest,
        "scores_on_films_training_never_saw": scores,
        "robustness": [change.as_dict() for change in found],
        "warnings": unknown + robustness.warnings(found),
    }
    path = network_file.with_name("model.json")
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path


SCORES = "scores_on_films_training_never_saw"

_COLUMNS = {
    "nmse_percent_at_blur_0_1_2_px": ("NMSE (%) at blur 0 / 1 / 2", "{:.1f}"),
    "emitters_found_over_true": ("found / true", "{:.3f}"),
    "jaccard": ("Jaccard", "{:.3f}"),
    "rmse_nm": ("RMSE (nm)", "{:.1f}"),
}
"""Title and format of the scores in a table, by their names in a card."""


def card_table(card: Mapping[str, Any], card_before: Mapping[str, Any], *, before: str) -> Table:
    """A row for each film of ``card``, and beneath it the scores of ``card_before``.

    Parameters
    ----------
    card, card_before : mapping
        Contents of two files ``model.json``; the second may be empty.
    before : str
        Name of the second; empty if there is none.
    """
    table = Table(title="films that training never saw", title_justify="left", box=None)
    table.add_column("film")
    for title, _ in _COLUMNS.values():
        table.add_column(title, justify="right")
    scores_before = card_before.get(SCORES, {})
    for film, scores in card.get(SCORES, {}).items():
        table.add_row(film, *_cells(scores))
        if before:
            table.add_row(f"  {before}", *_cells(scores_before.get(film, {})), style="dim")
    return table


def _cells(scores: Mapping[str, Any]) -> list[str]:
    return [_cell(scores.get(name), form) for name, (_, form) in _COLUMNS.items()]


def _cell(value: Any, form: str) -> str:
    """A number or several in one cell; a dash for a missing score."""
    if value is None:
        return "-"
    values = value if isinstance(value, list) else [value]
    return " / ".join("-" if each is None else form.format(each) for each in values)
