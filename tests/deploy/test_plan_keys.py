"""A plan's name depends on everything that the plan depends on, and on nothing else."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import pytest

from smlm_pipeline import contract
from smlm_pipeline.deploy.plans import key as keys
from smlm_pipeline.deploy.plans import tensorrt
from smlm_pipeline.deploy.plans.key import Choices, Gpu, PlanKey
from smlm_pipeline.deploy.plans.profiles import Profile, Shape, profiles
from smlm_pipeline.errors import PlanError, SettingError

LARGEST_PX = contract.TILE_SIZES_PX[-1]
A100 = Gpu("NVIDIA A100-SXM4-40GB", "8.0", 108)
KEY = PlanKey(
    "ab" * 32, "fp32", "10.13.3", A100, Choices(), profiles("unet", largest_tile_px=LARGEST_PX)
)

OTHERS = {
    "network": replace(KEY, network_sha256="cd" * 32),
    "precision": replace(KEY, precision="fp16"),
    "tensorrt": replace(KEY, tensorrt_version="10.13.4"),
    "gpu": replace(KEY, gpu=Gpu("NVIDIA A30", "8.0", 56)),
    "slice of a gpu": replace(KEY, gpu=replace(A100, name=f"{A100.name} MIG 3g.20gb")),
    "unnamed slice": replace(KEY, gpu=replace(A100, multiprocessors=42)),
    "compute capability": replace(KEY, gpu=replace(A100, compute_capability="8.9")),
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


def test_timings_are_of_a_gpu_and_a_version() -> None:
    others = {name for name, other in OTHERS.items() if other.timings != KEY.timings}
    assert others == {"tensorrt", "gpu", "slice of a gpu", "unnamed slice", "compute capability"}
    assert re.fullmatch(r"10\.13\.3-sm8\.0-[0-9a-f]{16}", KEY.timings)


# --- profiles -------------------------------------------------------------------------------

each_network = pytest.mark.parametrize("name", contract.NETWORKS)


def test_every_network_of_the_contract_is_one() -> None:
    assert set(contract.NETWORKS) == {each.network.name for each in contract.ENSEMBLES.values()}


@each_network
def test_a_profile_a_tile_size(name: str) -> None:
    answer = contract.ensemble_of(name).answer
    for profile, tile_px in zip(
        profiles(name, largest_tile_px=LARGEST_PX), contract.TILE_SIZES_PX, strict=True
    ):
        frames = answer.frames_most(tile_px, tile_px)
        assert profile.largest == profile.usual == (frames, tile_px, tile_px)
        assert profile.smallest == (1, contract.MIN_FRAME_PX, contract.MIN_FRAME_PX)
        assert frames * tile_px**2 == answer.pixels_most, "all profiles need the same memory"


def test_the_shapes_are_those_of_both_inputs() -> None:
    assert profiles("unet", largest_tile_px=LARGEST_PX)[1].shapes() == {
        "FRAMES": ((1, 16, 16, 2), (256, 128, 128, 2), (256, 128, 128, 2)),
        "LEVELS": ((1, 2), (256, 2), (256, 2)),
        "REQUEST": ((2,), (2,), (2,)),
    }


_PROFILES = {name: profiles(name, largest_tile_px=LARGEST_PX) for name in contract.NETWORKS}


def _fits(profile: Profile, request: Shape) -> bool:
    ends = zip(profile.smallest, request, profile.largest, strict=True)
    return all(low <= size <= high for low, size, high in ends)


def _taken(name: str, request: Shape) -> int:
    """The profile that Triton takes, by its distance; it has an axis too many for batches.

    ``GetMostOptimizedProfile`` of its TensorRT backend: without batching, it compares the
    profile's first size with 1, and the others with the request's one axis before.
    """

    def distance(profile: Profile) -> int:
        frames, height, width = profile.usual
        return 2 * (frames - 1) + abs(height - request[0]) + abs(width - request[1])

    found = _PROFILES[name]
    fitting = [index for index, profile in enumerate(found) if _fits(profile, request)]
    return min(fitting, key=lambda index: distance(found[index]))


@each_network
def test_every_request_that_the_contract_allows_fits_a_profile(name: str) -> None:
    answer, step = contract.ensemble_of(name).answer, contract.SIZE_MULTIPLE_PX
    edges_px = range(contract.MIN_FRAME_PX, LARGEST_PX + 1, step)
    for height_px, width_px in itertools.product(edges_px, edges_px):
        request = (answer.frames_most(height_px, width_px), height_px, width_px)
        assert any(_fits(profile, request) for profile in _PROFILES[name]), request


@each_network
@pytest.mark.parametrize("shorter_px", [0, 4, 28])
def test_whole_requests_are_computed_with_the_profile_of_their_tile(
    name: str, shorter_px: int
) -> None:
    answer = contract.ensemble_of(name).answer
    for index, tile_px in enumerate(contract.TILE_SIZES_PX):
        most = answer.frames_most(tile_px - shorter_px, tile_px)
        assert _taken(name, (most, tile_px - shorter_px, tile_px)) == index


def test_a_small_gpu_is_spared_large_tiles() -> None:
    """The configuration names as many profiles as there are tile sizes, whatever the GPU."""
    found = profiles("unet", largest_tile_px=128)
    assert [each.largest for each in found] == [
        *((1024, 64, 64), (256, 128, 128)),
        *[(1, 64, 64)] * 2,
    ]


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
