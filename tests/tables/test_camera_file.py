"""The camera of a preset of ``recon-train match``: what is read, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fakes.matched_cameras import NOT_MEASURED, matched, write_matched
from smlm_pipeline.errors import SettingError
from smlm_pipeline.tables.camera_file import BYTES_MOST, read_camera
from smlm_pipeline.tables.camera_units import CameraEstimate, CameraUnits
from smlm_training.matching.estimates import Value

ESTIMATE = CameraEstimate("mine.json", "beads.nd2", "emccd", 0.2, 1.5)


def test_gain_and_offset_with_their_errors(tmp_path: Path) -> None:
    camera = read_camera(write_matched(tmp_path / "mine.json"))
    assert camera == CameraUnits(5.0, 90.0, ESTIMATE)
    assert camera.notes == (
        "photons are by the camera in mine.json, which recon-train match --camera emccd estimated "
        "from beads.nd2: gain 5 ± 0.2 ADU a photon, offset 90 ± 1.5 ADU",
    )


def test_json_keeps_a_camera(tmp_path: Path) -> None:
    camera = read_camera(write_matched(tmp_path / "mine.json"))
    assert CameraUnits.from_dict(json.loads(json.dumps(camera.as_dict()))) == camera
    given = CameraUnits(5.0)
    assert given.as_dict() == {"gain_adu_per_photon": 5.0, "offset_adu": None}
    assert CameraUnits.from_dict(given.as_dict()) == given
    assert given.notes == ()


def test_numbers_that_match_was_given_have_no_error(tmp_path: Path) -> None:
    camera = read_camera(write_matched(tmp_path / "mine.json", gain=Value(5.0, 0.0)))
    (note,) = camera.notes
    assert "gain 5 (given to match) ADU a photon, offset 90 ± 1.5 ADU" in note


def test_an_offset_that_match_did_not_determine_is_left_out(tmp_path: Path) -> None:
    camera = read_camera(write_matched(tmp_path / "mine.json", offset=NOT_MEASURED))
    assert (camera.gain_adu_per_photon, camera.offset_adu) == (5.0, None)
    (note,) = camera.notes
    assert note.endswith("no offset, so the table has no background in photons")


def test_errors_that_are_not_stated_are_unknown(tmp_path: Path) -> None:
    path, stated = tmp_path / "mine.json", matched()
    stated["measured_from"]["uncertainties"] = {}
    path.write_text(json.dumps(stated))
    (note,) = read_camera(path).notes
    assert "gain 5 (of unknown error) ADU a photon" in note


def test_a_gain_that_match_did_not_determine_is_refused(tmp_path: Path) -> None:
    path = write_matched(tmp_path / "mine.json", gain=NOT_MEASURED)
    complaint = (
        r"mine\.json states no gain: recon-train match did not determine it from beads\.nd2; "
        r"expected a preset with a gain: give match .* or give --gain-adu-per-photon here"
    )
    with pytest.raises(SettingError, match=complaint):
        read_camera(path)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("gain_adu_per_photon", "5", "its gain_adu_per_photon is no number"),
        ("gain_adu_per_photon", True, "its gain_adu_per_photon is no number"),
        ("gain_adu_per_photon", [5], "its gain_adu_per_photon is no number"),
        ("gain_adu_per_photon", float("nan"), "its gain_adu_per_photon is no number"),
        ("gain_adu_per_photon", 10**400, "its gain_adu_per_photon is no number"),
        ("gain_adu_per_photon", -2, "its gain_adu_per_photon is -2"),
        ("gain_adu_per_photon", 0, "its gain_adu_per_photon is 0"),
        ("offset_adu", float("-inf"), "its offset_adu is no number"),
        ("offset_adu", {}, "its offset_adu is no number"),
    ],
)
def test_a_value_that_is_none_is_refused(
    tmp_path: Path, name: str, value: Any, complaint: str
) -> None:
    path, stated = tmp_path / "mine.json", matched()
    stated["measured_from"]["values"][name] = value
    path.write_text(json.dumps(stated))
    with pytest.raises(SettingError, match=f"cannot be read as a camera .{complaint}.; expected"):
        read_camera(path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"values": 5}, "it states no measured values"),
        ({"uncertainties": None}, "it states no errors of its values"),
        ({"uncertainties": {"gain_adu_per_photon": -1}}, "the uncertainty of its gain_.* is -1"),
        ({"uncertainties": {"offset_adu": "1"}}, "its offset_adu is no number"),
        ({"stack": 5}, "its stack is no name"),
        ({"stack": "x" * 300}, "its stack is no name"),
        ({"camera": ""}, "its camera is no name"),
    ],
)
def test_a_part_that_is_none_is_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path, stated = tmp_path / "mine.json", matched()
    stated["measured_from"] |= changes
    path.write_text(json.dumps(stated))
    with pytest.raises(SettingError, match=complaint):
        read_camera(path)


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        (b"", "it is no JSON"),
        (b"gain 5", "it is no JSON"),
        (b"\xff\xfe\x00", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"[]", "it is a list or a single value"),
        (b"{}", "it does not say which film it was measured from"),
        (b'{"measured_from": []}', "it does not say which film it was measured from"),
        (b" " * (BYTES_MOST + 1), "it is no file of at most 1 MiB"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, held: bytes, complaint: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(held)
    with pytest.raises(SettingError, match=complaint):
        read_camera(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe too, which nothing is written to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(SettingError, match="it is no file of at most 1 MiB"):
            read_camera(path)
    with pytest.raises(SettingError, match=r"there is no camera file .*no\.json; expected"):
        read_camera(tmp_path / "no.json")
    with pytest.raises(SettingError, match="it cannot be read: "):
        read_camera(tmp_path / ("x" * 300))
