"""A version of a model appears whole, with its card, or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import CLASS_BORDERS_PX, DETECTIONS, MAP, write_card, write_network
from smlm_pipeline import contract
from smlm_pipeline.errors import ContractError, OutputError, SettingError
from smlm_training.cli import app
from smlm_training.delivery import publish as publishing
from smlm_training.delivery.card import SCORES
from smlm_training.delivery.publish import publish, writable_repository

FILES = ["model.fp16.onnx", "model.json", "model.onnx", "model.py", "reference.npz"]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_version_has_everything(network: Path, repository: Path) -> None:
    folder = repository / "unet"
    done = publish(network, repository)
    assert (done.model, done.version, done.version_before) == ("unet", 2, 1)
    assert done.folder == folder / "2"
    assert _names(folder / "2") == FILES
    assert (folder / "2" / "model.onnx").read_bytes() == network.read_bytes()
    card = json.loads((folder / "2" / "model.json").read_text())
    assert card == done.card == json.loads(network.with_name("model.json").read_text())
    assert done.card_before == json.loads((folder / "1" / "model.json").read_text())
    assert (folder / "2" / "model.py").read_bytes() == (folder / "1" / "model.py").read_bytes()
    assert _names(folder) == ["1", "2", "config.pbtxt", "configs"]


def test_others_may_read_a_version(network: Path, repository: Path) -> None:
    """Triton's user is another than the one that publishes."""
    done = publish(network, repository)
    for path in (done.folder, *done.folder.iterdir()):
        allowed = 0o555 if path.is_dir() else 0o444
        assert path.stat().st_mode & allowed == allowed & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_versions_are_numbers(network: Path, repository: Path) -> None:
    """10 comes after 9; a version without model.py, as on a GPU, is no model for the next."""
    folder = repository / "unet"
    for name, text in (("9", "# of version 9"), ("10", None), ("draft", "# of a draft")):
        (folder / name).mkdir()
        if text:
            (folder / name / "model.py").write_text(text)
    (folder / "10" / "model.plan").touch()
    done = publish(network, repository)
    assert (done.version, done.version_before, done.plan_missing) == (11, 10, True)
    assert done.card_before == {}
    assert (done.folder / "model.py").read_text() == "# of version 9"
    assert _names(done.folder) == FILES


def test_a_map_network_is_published_as_its_model(tmp_path: Path, repository: Path) -> None:
    network = write_network(tmp_path / "exported", MAP)
    done = publish(network, repository)
    assert (done.model, done.folder) == ("unet_map", repository / "unet_map" / "2")
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]
    with pytest.raises(
        ContractError, match=r"answers with MAP, which unet does not serve: .* unet_map"
    ):
        publish(network, repository, model="unet")
    assert publish(network, repository, model="unet_map").version == 3


def test_the_small_network_is_published_as_its_model(tmp_path: Path, repository: Path) -> None:
    """It answers as the default one does: its card tells them apart, unless a model is named."""
    network = write_network(tmp_path / "exported")
    card = json.loads(network.with_name("model.json").read_text())
    network.with_name("model.json").write_text(json.dumps({**card, "name": "unet_fast"}))
    assert publish(network, repository).folder == repository / "unet_fast" / "2"
    assert publish(network, repository, model="unet").folder == repository / "unet" / "2"


REFUSED_NETWORKS = {
    DETECTIONS.replace("NORMALIZED", "frames"): r"tensors are frames \[-1, 1, -1, -1\]",
    DETECTIONS.replace("DETECTIONS", "found"): r"found \[-1, 7, -1, -1\], COMPUTED",
    DETECTIONS.replace("[7,1,1,1]", "[5,1,1,1]")
    .replace(", 6, 7}", "}")
    .replace("N,7", "N,5"): r"DETECTIONS \[-1, 5, -1, -1\], COMPUTED",
    DETECTIONS.replace("N,7,H,W", "N,7,64,64"): r"DETECTIONS \[-1, 7, 64, 64\], COMPUTED",
    DETECTIONS.replace("N,7", "1,7"): r"DETECTIONS \[1, 7, -1, -1\], COMPUTED",
    MAP.replace("8, 8}", "4, 4}"): "does not answer frames of any number and size",
}


@pytest.mark.parametrize("graph", REFUSED_NETWORKS, ids=REFUSED_NETWORKS.values())
def test_a_network_of_another_contract_is_refused(
    graph: str, tmp_path: Path, repository: Path
) -> None:
    network = write_network(tmp_path / "exported", graph)
    with pytest.raises(ContractError, match=REFUSED_NETWORKS[graph]):
        publish(network, repository)
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]


def test_what_is_no_network_is_refused(network: Path, repository: Path) -> None:
    network.write_bytes(b"neither a network nor anything else")
    write_card(network)
    with pytest.raises(ContractError, match="expected a network of 'recon-train export'"):
        publish(network, repository)


def _other_network(network: Path) -> None:
    network.write_bytes(network.read_bytes() + b"\0")


def _no_card(network: Path) -> None:
    network.with_name("model.json").unlink()


def _no_network(network: Path) -> None:
    network.unlink()


def _older_card(network: Path) -> None:
    write_card(network, contract_version=contract.CONTRACT_VERSION - 1)


def _card_without_borders(network: Path) -> None:
    write_card(network, class_borders_px=None)


def _card_of_two_classes(network: Path) -> None:
    write_card(network, class_borders_px={"2": [0.12]})


def _descending_borders(network: Path) -> None:
    write_card(network, class_borders_px={**CLASS_BORDERS_PX, "3": [0.15, 0.1]})


def _torn_card(network: Path) -> None:
    network.with_name("model.json").write_text('{"sha256": ')


def _list_for_card(network: Path) -> None:
    network.with_name("model.json").write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_other_network, ContractError, "they are not of one export"),
        (_older_card, ContractError, "was made for contract version 2; expected 3"),
        (_card_without_borders, ContractError, "class_borders_px is None; expected the ascending"),
        (_card_of_two_classes, ContractError, "of 2 to 4 precision classes: export the run again"),
        (_descending_borders, ContractError, r"0\.15, 0\.1\].*; expected the ascending borders"),
        (_no_card, SettingError, r"no .*model\.json; expected a network of"),
        (_no_network, SettingError, r"no .*model\.onnx; expected a network of"),
        (_torn_card, SettingError, "is no model card"),
        (_list_for_card, SettingError, "is no model card"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    spoil: Callable[[Path], None],
    error: type[Exception],
    message: str,
    network: Path,
    repository: Path,
) -> None:
    spoil(network)
    with pytest.raises(error, match=message):
        publish(network, repository)
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]


def test_a_repository_without_the_model(tmp_path: Path, repository: Path) -> None:
    shutil.rmtree(repository / "unet_map")
    with pytest.raises(SettingError, match=r"no .*unet_map/config\.pbtxt, which a network"):
        publish(write_network(tmp_path / "exported", MAP), repository)


def test_a_model_that_nothing_serves(network: Path, repository: Path) -> None:
    (repository / "unet" / "1" / "model.py").unlink()
    with pytest.raises(SettingError, match=r"no version in .*unet has a model\.py"):
        publish(network, repository)
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]


def test_a_full_disk_leaves_nothing(
    network: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(network, repository)
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]


def test_files_are_on_the_disk_before_the_version_is_seen(
    network: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five files and their folder; after the rename the model's folder and its configurations."""
    seen: list[bool] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((repository / "unet" / "2").exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    publish(network, repository)
    assert seen == [False] * 6 + [True] * 3


def test_a_server_that_polls_never_sees_half_a_version(network: Path, repository: Path) -> None:
    """What Triton would take for a version: a name that begins with a number."""
    folder, stop, halves, listings = repository / "unet", threading.Event(), [], 0
    expected = network.read_bytes()

    def poll() -> None:
        nonlocal listings
        while not stop.is_set():
            listings += 1
            for version in folder.iterdir():
                if version.name[0].isdigit() and version.name != "1":
                    files = _names(version)
                    if files != FILES or (version / "model.onnx").read_bytes() != expected:
                        halves.append((version.name, files))

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        versions = [publish(network, repository).version for _ in range(10)]
    finally:
        stop.set()
        poller.join()
    assert versions == list(range(2, 12))
    assert halves == []
    assert listings > 10


def test_two_publishers_at_once_get_two_versions(
    network: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked for the next number before either takes it."""
    both = threading.Barrier(2)
    first_look = threading.local()
    listed = publishing._versions

    def versions(folder: Path) -> list[int]:
        found = listed(folder)
        looks = first_look.count = getattr(first_look, "count", 0) + 1
        if looks == 2:  # the first is for model.py, the second for the number
            both.wait(timeout=60)
        return found

    monkeypatch.setattr(publishing, "_versions", versions)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: publish(network, repository), range(2)))
    assert sorted(each.version for each in done) == [2, 3]
    for each in done:
        assert _names(each.folder) == FILES
        assert each.version_before == each.version - 1
    assert _names(repository / "unet") == ["1", "2", "3", "config.pbtxt", "configs"]


def test_the_checkouts_own_is_the_default() -> None:
    assert writable_repository(None).name == "model_repository"


def test_an_installed_repository_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = repository.parent / "__init__.py"
    monkeypatch.setattr("smlm_pipeline.__file__", str(package))
    with pytest.raises(SettingError, match="belongs to the installed package, whose next upgrade"):
        writable_repository(repository)


def test_a_repository_of_somebody_else_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "unet_map")
    with pytest.raises(OutputError, match=r"unet_map is not writable for this user"):
        writable_repository(repository)


def _invoke(*arguments: Path | str) -> Any:
    return CliRunner().invoke(app, ["publish", *map(str, arguments)], env={"COLUMNS": "100"})


def test_command_tells_version_and_scores_beside_those_before(
    network: Path, repository: Path
) -> None:
    scores = {"nmse_percent_at_blur_0_1_2_px": [38, 9.06, None], "emitters_found_over_true": 0.99}
    write_card(repository / "unet" / "1" / "model.onnx", **{SCORES: {"film": scores}})
    (repository / "unet" / "1" / "model.plan").touch()
    write_card(
        network, **{**json.loads(network.with_name("model.json").read_text()), "warnings": ["!"]}
    )
    result = _invoke(network, "--model-repository", repository)
    assert result.exit_code == 0, result.output
    first, _, _, now, before = result.stdout.splitlines()
    assert first == f"unet version 2: {repository / 'unet' / '2'}"
    cells = re.compile(r" {2,}")
    assert cells.split(now.strip()) == ["film", "25.0 / 5.0 / 1.5", "-", "0.750", "-"]
    assert cells.split(before.strip()) == ["version 1", "38.0 / 9.1 / -", "0.990", "-", "-"]
    assert "warning: !" in result.stderr
    assert "version 1 has a TensorRT plan; build that of version 2" in result.stderr


def test_command_refuses_with_a_message(network: Path, repository: Path, tmp_path: Path) -> None:
    into = ("--model-repository", repository)
    for arguments, code, message in (
        ((network, "--model-repository", tmp_path), 2, "no model repository at"),
        ((network, *into, "--model", "unet_map"), 5, "publish it as unet"),
        ((tmp_path / "nothing.onnx", *into), 2, "or the folder of a run"),
    ):
        result = _invoke(*arguments)
        assert result.exit_code == code, result.output
        assert message in result.stderr
        assert result.stdout == ""
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]


@pytest.mark.training
def test_a_failing_export_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install .[train]")
    run = tmp_path / "run"
    run.mkdir()
    (run / "network.keras").write_bytes(b"torn")
    result = _invoke(run, "--model-repository", repository)
    assert result.exit_code == 2, result.output
    assert "expected the network of a finished 'recon-train fit'" in result.stderr
    assert _names(repository / "unet") == ["1", "config.pbtxt", "configs"]
    assert _names(run) == ["network.keras"]
