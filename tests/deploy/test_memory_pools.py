"""Pools and shared memory hold what the contract's bounds allow, whatever clients ask for."""

from __future__ import annotations

import pytest

from smlm_pipeline import contract
from smlm_pipeline.deploy import memory_pools
from smlm_pipeline.deploy.memory_pools import Sizes, sizes
from smlm_pipeline.errors import SettingError

MIB = 1 << 20


def test_values() -> None:
    """Four megapixels: 112 MiB of detections, of which 13 are under way; 144 MiB of sums."""
    assert sizes(["reconstruction"]) == Sizes(
        cuda_pool_bytes=1893 * MIB,  # 1.3 x (3 + 8 + 2) x 112
        shm_default_bytes=36 * MIB,  # a quarter of 144
        shm_growth_bytes=36 * MIB,
        shm_total_bytes=2 * (121 + 112 + 144) * MIB,
    )


def test_values_of_a_map_network() -> None:
    """Half a megapixel: 128 MiB of maps; 65 MiB of sums."""
    assert sizes(["reconstruction_map"]) == Sizes(
        cuda_pool_bytes=2164 * MIB,  # 1.3 x (3 + 8 + 2) x 128
        shm_default_bytes=17 * MIB,
        shm_growth_bytes=17 * MIB,
        shm_total_bytes=2 * (130 + 193) * MIB,
    )


@pytest.mark.parametrize("answer", contract.ANSWERS, ids=lambda answer: answer.name)
@pytest.mark.parametrize("tile_px", contract.TILE_SIZES_PX)
def test_no_answer_is_larger_than_is_counted(answer: contract.Answer, tile_px: int) -> None:
    frames = answer.frames_most(tile_px, tile_px)
    pixels = frames * tile_px**2 * answer.zoom**2
    assert 4 * answer.channels * pixels <= memory_pools.answer_bytes(answer)


def test_networks_with_one_summation_share_its_queue() -> None:
    """Each network fills its own executions, and all wait in one queue."""
    alone = sizes(["reconstruction"]).cuda_pool_bytes
    both = sizes(["reconstruction", "reconstruction_fast"]).cuda_pool_bytes
    assert both == pytest.approx(alone * (3 + 3 + 8 + 2) / (3 + 8 + 2), rel=1e-3)
    maps = sizes(["reconstruction_map"]).cuda_pool_bytes
    assert sizes(list(contract.ENSEMBLES)).cuda_pool_bytes == pytest.approx(both + maps, abs=MIB)


def test_the_same_ensemble_needs_no_more() -> None:
    assert sizes(["reconstruction"] * 2) == sizes(["reconstruction"])


@pytest.mark.parametrize(
    ("models", "words"), [([], "no model is named"), (["unet"], "no model unet; expected some of")]
)
def test_what_is_no_ensemble(models: list[str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        sizes(models)


def test_flags_of_a_server_with_one_gpu_have_no_pinned_pool() -> None:
    assert Sizes(MIB, 3 * MIB, 4 * MIB, 5 * MIB).flags() == [
        "--cuda-memory-pool-byte-size=0:1048576",
        "--pinned-memory-pool-byte-size=0",
        "--backend-config=python,shm-default-byte-size=3145728",
        "--backend-config=python,shm-growth-byte-size=4194304",
    ]
