"""The folder of a run: its manifest, its history and its network."""

from __future__ import annotations

import csv
import json
import platform
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import smlm_pipeline
from smlm_pipeline.errors import SettingError
from smlm_training.fitting.recipes import Recipe

MANIFEST_FILE = "manifest.json"
HISTORY_FILE = "history.csv"
NETWORK_FILE = "network.keras"


@dataclass(frozen=True)
class Start:
    """A trained network to begin with: its weights in Keras' order, and its manifest."""

    weights: list[NDArray[Any]]
    manifest: Mapping[str, Any]


def start_from_run(run: Path) -> Start:
    """The network of a finished run.

    Raises
    ------
    SettingError
        If the run has no network yet or one that cannot be read, or no manifest.
    """
    return Start(load_network(run).get_weights(), read_manifest(run))


def load_network(run: Path) -> keras.Model:
    """Load the network that a finished run left in its folder.

    Raises
    ------
    SettingError
        If there is none, or it cannot be read.
    """
    file = run / NETWORK_FILE
    if not file.exists():
        raise SettingError(f"no {file}; expected the folder of a finished 'recon-train fit'")
    try:
        return keras.saving.load_model(file)
    # A TypeError is Keras' word for a layer that this release does not have.
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise SettingError(
            f"cannot read {file} ({reason}); expected the network of a finished 'recon-train fit' "
            "of this release"
        ) from error


def described(
    recipe: Recipe, data: Mapping[str, Any], *, command: str, devices: str
) -> dict[str, Any]:
    """Content of a manifest: every setting, seed and version, but no name of this machine.

    Parameters
    ----------
    recipe : Recipe
        The network and its training.
    data : mapping
        Facts about the data, from the source of the batches.
    command : str
        The command as typed, without paths.
    devices : str
        Number and kind of the devices.
    """
    return {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        **data,
        "command": command,
        "devices": devices,
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "smlm-recon": smlm_pipeline.__version__,
        },
    }


def begin_manifest(folder: Path, now: Mapping[str, Any], start: Start | None) -> None:
    """Write how a run begins, with the manifest of the network that it starts from."""
    begun = dict(now) if start is None else {**now, "start": start.manifest}
    _write(folder, begun)


def check_same_run(folder: Path, now: Mapping[str, Any], start: Start | None) -> None:
    """Refuse to continue a run by another recipe, on another film, or from another start.

    Without a start, the run's own is assumed.

    Raises
    ------
    SettingError
        If the folder's run is another one; the message names what differs.
    """
    begun = read_manifest(folder)
    changed = _changed(_with_defaults(begun.get("recipe", {})), now["recipe"])
    if begun.get("film") != now.get("film"):
        changed.append("film")
    if start is not None and begun.get("start") != json.loads(json.dumps(start.manifest)):
        changed.append("start")
    if changed:
        raise SettingError(
            f"{folder} holds a run by another recipe ({', '.join(changed)}); "
            "expected the same one to continue it: take another folder"
        )


def resume_manifest(folder: Path, now: Mapping[str, Any], step: int) -> None:
    """Add to the manifest that the run continues at ``step``, and in which versions."""
    begun = read_manifest(folder)
    going_on = {name: now[name] for name in ("command", "devices", "versions")}
    resumed = [*begun.get("resumed", []), {"step": step, **going_on}]
    _write(folder, {**begun, "resumed": resumed})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises
    ------
    SettingError
        If it has no manifest that can be read.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(
            f"cannot read {path} ({error}); expected the manifest of 'recon-train fit'"
        ) from error
    return manifest


def save_network(folder: Path, network: keras.Model) -> None:
    """Write the trained network, as a whole or not at all."""
    beside = folder / f"partial.{NETWORK_FILE}"
    network.save(beside)
    beside.replace(folder / NETWORK_FILE)


def append_history(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a row to the history; a run that an older version began keeps its columns."""
    path = folder / HISTORY_FILE
    columns = list(row)
    if path.exists():
        with path.open(newline="") as stream:
            columns = next(csv.reader(stream), columns)
    new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        if new:
            writer.writeheader()
        writer.writerow(row)


def drop_history_after(folder: Path, step: int) -> None:
    """Drop the rows after the checkpoint that the run continues from."""
    path = folder / HISTORY_FILE
    if not path.exists():
        return
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    kept = [row for row in rows if not row[0].isdigit() or int(row[0]) <= step]
    beside = folder / f"{HISTORY_FILE}.partial"
    with beside.open("w", newline="") as stream:
        csv.writer(stream).writerows(kept)
    beside.replace(path)


def _write(folder: Path, manifest: Mapping[str, Any]) -> None:
    beside = folder / f"{MANIFEST_FILE}.partial"
    beside.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / MANIFEST_FILE)


def _with_defaults(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of an older version, with the fields that it did not have yet."""
    defaults: dict[str, Any] = json.loads(json.dumps(asdict(Recipe())))
    return {**defaults, **recipe}


def _changed(begun: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """Names of the settings that differ."""
    names = []
    for name, value in now.items():
        before = begun.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            names += _changed(before, value, f"{within}{name}.")
        elif before != value:
            names.append(f"{within}{name}")
    return sorted(names)


WriteScalars = Callable[[int, Mapping[str, float]], None]
"""(step, values by the name of their chart)"""


@contextmanager
def scalars_to(folder: Path) -> Iterator[WriteScalars]:
    """Open an event file in ``folder``, made where it is missing, and give its writer.

    ``tf.summary.scalar`` belongs to TensorBoard, which TensorFlow no longer
    brings along; this writes the same records.
    """
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")
    with closing(tf.summary.create_file_writer(str(folder))) as events:

        def write(step: int, scalars: Mapping[str, float]) -> None:
            with events.as_default(step=step):
                for name, value in scalars.items():
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
            events.flush()

        yield write
