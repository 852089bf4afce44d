"""What ``recon-train match`` makes of its estimates: a preset, and a report of how sure it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.matched_cameras import ESTIMATES
from smlm_training.matching.camera_levels import KINDS
from smlm_training.matching.crowding import line_width_px
from smlm_training.matching.estimates import Estimates, KnownCamera, Value
from smlm_training.matching.preset import preset
from smlm_training.matching.wording import rows

EMCCD, SCMOS = KnownCamera(KINDS["emccd"]), KnownCamera(KINDS["scmos"])


def _found(**changes: Any) -> Estimates:
    return replace(ESTIMATES, **changes)


def test_preset_has_ranges_about_the_estimates() -> None:
    ranges = preset(_found(), (0.2, 3.0), KINDS["emccd"], {})["ranges"]
    assert ranges["sigma_px"] == pytest.approx([0.99, 1.21])  # at least 10 %
    assert ranges["offset_adu"] == pytest.approx([90, 110])
    assert ranges["photons"] == pytest.approx([2000 / 1.3, 2000 * 1.3], abs=1)  # two errors
    assert ranges["photons_spread"] == pytest.approx([0.2, 0.4])
    assert ranges["background_photons"] == pytest.approx([0.5, 44])  # positive
    assert ranges["density_per_um2"] == pytest.approx([0.2 * 6 / 1.2, 3 * 6 * 1.2])
    assert ranges["density_per_um"][1] == pytest.approx(
        3 * 0.6 * 1.2 * line_width_px(1.1), rel=1e-3
    )
    assert ranges["emccd_adu_per_photon"] == pytest.approx([1.8, 2.2], abs=0.02)
    assert ranges["emccd_share"] == 1
    assert ranges["spot_ratio"] == pytest.approx([0.9, 1.1])
    assert (ranges["elliptic_share"], ranges["blinking_share"]) == (1, 0)
    assert not {"halo_share", "halo_light", "on_frames"} & set(ranges)  # those of the base
    assert "scmos_adu_per_photon" not in ranges


def test_preset_has_the_halo_and_the_blinks_that_show() -> None:
    found = _found(halo_light=Value(0.15, 0.02), on_frames=Value(3.0, 0.2))
    ranges = preset(found, (0.2, 3.0), KINDS["emccd"], {})["ranges"]
    assert (ranges["halo_share"], ranges["blinking_share"]) == (1, 1)
    assert ranges["halo_light"] == pytest.approx([0.11, 0.19])
    assert ranges["halo_width"] == pytest.approx([4 / 1.4, 4 * 1.4], abs=0.01)
    assert ranges["on_frames"] == pytest.approx([3 / (1 + 0.4 / 3), 3 + 0.4], abs=0.01)
    vague = _found(halo_light=Value(0.2, 0.1), on_frames=Value(1.0, 2.0))
    ranges = preset(vague, (0.2, 3.0), KINDS["emccd"], {})["ranges"]
    assert not {"halo_share", "blinking_share", "halo_light", "on_frames"} & set(ranges)


def test_the_fullest_places_of_a_film_are_trained_on() -> None:
    """20 molecules a um2 are 461 in a patch of 4.8 um, more than 85 % of its places by default."""
    stated = preset(_found(density_per_px2=Value(0.1, 0.001)), (0.5, 2.0), KINDS["emccd"], {})
    most = stated["ranges"]["density_per_um2"][1]
    assert 0.85 * stated["ranges"]["emitters_max"] == pytest.approx(most * 4.8**2, rel=0.01)
    sparse = preset(_found(density_per_px2=Value(0.01, 0.001)), (0.5, 2.0), KINDS["emccd"], {})
    assert sparse["ranges"]["emitters_max"] == 480


def test_preset_leaves_out_what_the_film_does_not_tell() -> None:
    unknown = Value(float("nan"), float("inf"))
    found = _found(photons=unknown, background_photons=unknown, gain_adu_per_photon=unknown)
    stated = preset(found, (0.5, 1.2), KINDS["scmos"], {"stack": "film.tif"})
    missing = {"photons", "background_photons", "scmos_adu_per_photon"}
    assert missing.isdisjoint(stated["ranges"])
    assert stated["ranges"]["emccd_share"] == 0
    assert stated["measured_from"]["stack"] == "film.tif"
    assert missing.isdisjoint(stated["measured_from"]["values"])
    report = {row.name: row for row in rows(found, SCMOS, pixel_size_nm=100, area_px2=4096)}
    assert report["photons per emitter and frame"].sureness == "not measured"


def test_report_says_how_sure_and_why() -> None:
    known = replace(EMCCD, gain_adu_per_photon=2.0)
    found = _found(gain_adu_per_photon=Value(2, 0), misfit=0.2)
    report = {row.name: row for row in rows(found, known, pixel_size_nm=200, area_px2=1000)}
    assert report["PSF sigma (px)"].sureness == "very sure"
    assert "20% of the covariance does not fit a Gaussian" in report["PSF sigma (px)"].why
    assert report["gain (ADU per photon)"].sureness == "given"
    assert report["gain (ADU per photon)"].why == "by --gain-adu-per-photon"
    assert report["background (photons)"].sureness == "rough"
    assert report["emitters per frame"].value == "60"
    assert report["emitters per um2"].value == "1.5"
