"""A plan's name depends on everything that the plan depends on, and on nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from smlm_pipeline import contract
from smlm_pipeline.deploy.plans import key as keys
from smlm_pipeline.deploy.plans import tensorrt
from smlm_pipeline.deploy.plans.key import Choices, PlanKey
from smlm_pipeline.deploy.plans.profiles import Profile, profiles
from smlm_pipeline.errors import PlanError, SettingError
from smlm_pipeline.settings import Settings, frames_per_chunk

LARGEST_PX = contract.TILE_SIZES_PX[-1]
KEY = PlanKey(
    "ab" * 32, "fp32", "10.13.3", "8.6", Choices(), profiles("unet", largest_tile_px=LARGEST_PX)
)

OTHERS = {
    "network": replace(KEY, network_sha256="cd" * 32),
    "precision": replace(KEY, precision="fp16"),
    "tensorrt": replace(KEY, tensorrt_version="10.13.4"),
    "gpu": replace(KEY, compute_capability="8.9"),
    "tf32": replace(KEY, choices=Choices(tf32=True)),
    "workspace": replace(KEY, choices=Choices(workspace_bytes=1 << 20)),
    "profiles": replace(KEY, profiles=KEY.profiles[:-1]),
    "order of profiles": replace(KEY, profiles=KEY.profiles[::-1]),
}


def test_the_same_things_give_the_same_name() -> None:
    twin = replace(KEY, profiles=tuple(replace(each) for each in KEY.profiles))
    assert twin.digest == KEY.digest
    assert len(KEY.digest) == 64
    assert set(KEY.digest) <= set("0123456789abcdef")


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_anything_else_gives_another_name(other: PlanKey) -> None:
    assert other.digest != KEY.digest


def test_another_recipe_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = KEY.digest
    monkeypatch.setattr(keys, "RECIPE", keys.RECIPE + 1)
    assert KEY.digest != before


def test_a_key_survives_its_sidecar() -> None:
    assert json.loads(json.dumps(KEY.as_dict())) == KEY.as_dict()


def test_rounding_is_off_unless_asked_for() -> None:
    assert not Choices().tf32


# --- profiles -------------------------------------------------------------------------------

each_network = pytest.mark.parametrize("name", contract.NETWORKS)


def test_every_network_of_the_contract_is_one() -> None:
    assert set(contract.NETWORKS) == {each.network.name for each in contract.ENSEMBLES.values()}


@each_network
def test_a_profile_a_tile_size(name: str) -> None:
    found = profiles(name, largest_tile_px=LARGEST_PX)
    assert [each.largest[2:] for each in found] == [(px, px) for px in contract.TILE_SIZES_PX]
    for each in found:
        assert each.largest[0] == contract.MAX_FRAMES_PER_CHUNK
        assert each.smallest == (1, 1, contract.MIN_FRAME_PX, contract.MIN_FRAME_PX)
        assert each.usual[2:] == each.largest[2:]


@each_network
@pytest.mark.parametrize("tile_px", contract.TILE_SIZES_PX)
def test_whole_chunks_are_what_a_profile_is_best_at(name: str, tile_px: int) -> None:
    """Triton takes the profile at the least distance of all sizes, N included."""
    frames = frames_per_chunk(Settings(model=contract.ensemble_of(name).name), tile_px, tile_px)
    chunk = (frames, 1, tile_px, tile_px)

    def distance(profile: Profile) -> float:
        ends = zip(profile.smallest, chunk, profile.largest, strict=True)
        if not all(low <= size <= high for low, size, high in ends):
            return float("inf")
        return sum(abs(a - b) for a, b in zip(profile.usual, chunk, strict=True))

    found = min(profiles(name, largest_tile_px=LARGEST_PX), key=distance)
    assert found.usual == chunk


def test_a_small_gpu_is_spared_large_tiles() -> None:
    """The configuration names as many profiles as there are tile sizes, whatever the GPU."""
    found = profiles("unet", largest_tile_px=128)
    assert [each.largest[2] for each in found] == [64, 128, 64, 64]


def test_a_tile_that_the_contract_does_not_know() -> None:
    with pytest.raises(SettingError, match=r"largest tile is 100 pixels; expected one of 64, 128"):
        profiles("unet", largest_tile_px=100)


# --- versions -------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "found"), [("10.13.3.9", 10), ("11.0.0", 11)])
def test_a_version_that_is_known(version: str, found: int) -> None:
    assert tensorrt.major(version) == found


@pytest.mark.parametrize("version", ["8.6.1", "9.0.0", "12.0.0", "unknown"])
def test_a_version_that_is_not_known(version: str) -> None:
    with pytest.raises(PlanError, match=f"TensorRT {version} is installed; expected 10 or 11"):
        tensorrt.major(version)
