"""Pools and shared memory hold what requests in flight need: values pinned, and how they grow."""

from __future__ import annotations

import pytest

from smlm_pipeline import contract
from smlm_pipeline.deploy import memory_pools
from smlm_pipeline.deploy.memory_pools import Sizes, sizes
from smlm_pipeline.errors import SettingError
from smlm_pipeline.settings import IN_FLIGHT_MOST

MIB = 1 << 20


def _sizes(
    model: str = "reconstruction",
    *,
    tile_px: int = 512,
    frames: int | None = 8,
    zoom: int = 8,
    in_flight: int = 64,
) -> Sizes:
    return sizes([model], tile_px=tile_px, frames=frames, zoom=zoom, in_flight=in_flight)


def test_values() -> None:
    """Two megapixels: 8 MiB normalised and 40 MiB of detections a request, 64.5 MiB of image."""
    assert _sizes() == Sizes(
        cuda_pool_bytes=3994 * MIB,  # 1.3 x 64 x (8 + 40)
        pinned_pool_bytes=666 * MIB,  # 1.3 x 64 x 8
        shm_default_bytes=65 * MIB,
        shm_growth_bytes=65 * MIB,
        shm_total_bytes=2 * (65 + 65 + 105) * MIB,
        normalized_bytes_most=8 * MIB,
    )


def test_values_of_a_map_network() -> None:
    """One megapixel of four frames: 4 MiB normalised, 256 MiB of maps."""
    found = _sizes("reconstruction_map", frames=4)
    assert found.cuda_pool_bytes == 21632 * MIB  # 1.3 x 64 x (4 + 256)
    assert found.pinned_pool_bytes == 333 * MIB
    assert found.shm_total_bytes == 2 * (65 + 260 + 321) * MIB


def test_the_formula_for_tensors_on_the_gpu() -> None:
    """bytes >= requests x frames x pixels x 4 x (channels in + channels out) x 1.3."""
    channels = contract.NORMALIZED.dims[0] + contract.DETECTIONS.dims[0]
    needed = 1.3 * 50 * 16 * 256**2 * 4 * channels
    found = _sizes(tile_px=256, frames=16, in_flight=50).cuda_pool_bytes
    assert needed <= found < needed + MIB


@pytest.mark.parametrize(
    ("what", "grows"),
    [
        (
            {"frames": 16},
            {"cuda_pool_bytes", "pinned_pool_bytes", "shm_total_bytes", "normalized_bytes_most"},
        ),
        ({"in_flight": 128}, {"cuda_pool_bytes", "pinned_pool_bytes"}),
        ({"zoom": 16}, {"shm_default_bytes", "shm_growth_bytes", "shm_total_bytes"}),
        ({"tile_px": 256}, set()),
    ],
    ids=["frames", "requests", "zoom", "a smaller tile"],
)
def test_what_grows_with_what(what: dict[str, int], grows: set[str]) -> None:
    before, after = _sizes().as_dict(), _sizes(**what).as_dict()  # type: ignore[arg-type]
    assert {name for name in before if after[name] > before[name]} == grows


def test_frames_are_those_of_the_client_by_default() -> None:
    assert _sizes(frames=None) == _sizes(frames=8)
    assert _sizes("reconstruction_map", frames=None) == _sizes("reconstruction_map", frames=1)


def test_a_map_network_has_a_zoom_of_its_own() -> None:
    assert _sizes("reconstruction_map", zoom=20) == _sizes("reconstruction_map")


def test_each_network_has_a_queue_of_its_own() -> None:
    """So all may be full at once; ``normalize`` has one region, whoever is asked."""
    needs = [_sizes(name, frames=None) for name in contract.ENSEMBLES]
    found = sizes(list(contract.ENSEMBLES), tile_px=512, frames=None, zoom=8, in_flight=64)
    rounding = len(needs) * MIB
    for pool in ("cuda_pool_bytes", "pinned_pool_bytes"):
        together = sum(need.as_dict()[pool] for need in needs)
        assert together - rounding <= found.as_dict()[pool] <= together
    assert found.shm_total_bytes < sum(need.shm_total_bytes for need in needs)
    assert found.shm_total_bytes >= 2 * len(contract.NETWORKS) * found.shm_default_bytes


@pytest.mark.parametrize("name", contract.ENSEMBLES)
def test_what_the_queue_lets_in_has_room_however_few_are_expected(name: str) -> None:
    network = contract.ENSEMBLES[name].network
    found = _sizes(name, frames=1, in_flight=1)
    answer = 4 * network.outputs[0].dims[0] * (64 if contract.MAP in network.outputs else 1)
    one = 512**2 * (4 * contract.NORMALIZED.dims[0] + answer)
    assert found.cuda_pool_bytes >= 1.3 * 4 * memory_pools.queued(network) * one
    assert found == _sizes(name, frames=1, in_flight=4 * memory_pools.queued(network))


def test_a_smaller_tile_may_be_the_larger_request() -> None:
    """A client sends 4 frames of 256 pixels to a map network, and one of 384."""
    found = _sizes("reconstruction_map", tile_px=384, frames=None)
    assert found.normalized_bytes_most == 4 * 256**2 * 4 * contract.NORMALIZED.dims[0]


def test_no_requests_at_all() -> None:
    with pytest.raises(SettingError, match="in-flight is 0; expected a whole number from 1"):
        _sizes(in_flight=0)


def test_the_same_steps_need_no_more() -> None:
    twice = sizes(["reconstruction"] * 2, tile_px=512, frames=8, zoom=8, in_flight=64)
    assert twice == _sizes()


def test_flags_of_the_server() -> None:
    assert Sizes(MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB, 6).flags(1) == [
        "--cuda-memory-pool-byte-size=0:1048576",
        "--pinned-memory-pool-byte-size=2097152",
        "--backend-config=python,shm-default-byte-size=3145728",
        "--backend-config=python,shm-growth-byte-size=4194304",
    ]


def test_a_server_holds_four_clients_by_default() -> None:
    assert 4 * IN_FLIGHT_MOST <= memory_pools.IN_FLIGHT
