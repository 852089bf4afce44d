"""What ``config.pbtxt`` asks of a TensorRT plan is what the plan is built with."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from fakes.places import MODEL_REPOSITORY
from smlm_pipeline import contract
from smlm_pipeline.deploy import memory_pools
from smlm_pipeline.deploy.plans.profiles import profiles

LARGEST_PX = contract.TILE_SIZES_PX[-1]

each_network = pytest.mark.parametrize("name", contract.NETWORKS)


def _configuration(name: str) -> Any:
    text = (MODEL_REPOSITORY / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@each_network
def test_every_profile_of_the_plan_is_used(name: str) -> None:
    (group,) = _configuration(name).instance_group
    asked = [str(index) for index, _ in enumerate(profiles(name, largest_tile_px=LARGEST_PX))]
    assert list(group.profile) == asked
    assert group.count == 1


@each_network
def test_each_context_holds_its_own_activations_only(name: str) -> None:
    stated = _configuration(name).parameters["execution_context_allocation_strategy"]
    assert stated.string_value == "ON_PROFILE_CHANGE"


@each_network
def test_the_batcher_makes_no_batch_that_a_profile_refuses(name: str) -> None:
    found = _configuration(name)
    for profile in profiles(name, largest_tile_px=LARGEST_PX):
        assert profile.largest[0] == found.max_batch_size > 0
    assert max(found.dynamic_batching.preferred_batch_size) <= found.max_batch_size


@each_network
def test_graphs_are_exact_and_fit_every_profile(name: str) -> None:
    """Triton captures each graph in each context, and says an error where it does not fit.

    A lower bound would let a larger graph answer fewer frames, with undefined ones among them.
    """
    cuda = _configuration(name).optimization.cuda
    assert cuda.graphs
    assert len(cuda.graph_spec) > 0
    for graph in cuda.graph_spec:
        assert not graph.HasField("graph_lower_bound")
        shape = (graph.batch_size, *graph.input[contract.NORMALIZED.name].dim)
        assert set(graph.input) == {contract.NORMALIZED.name}
        for profile in profiles(name, largest_tile_px=LARGEST_PX):
            ends = zip(profile.smallest, shape, profile.largest, strict=True)
            assert all(low <= size <= high for low, size, high in ends)


@each_network
def test_graphs_are_for_whole_chunks_of_the_smallest_tile(name: str) -> None:
    found = _configuration(name)
    usual = profiles(name, largest_tile_px=LARGEST_PX)[0].usual
    batches = [graph.batch_size for graph in found.optimization.cuda.graph_spec]
    assert batches == [usual[0], 2 * usual[0]] == list(found.dynamic_batching.preferred_batch_size)
    for graph in found.optimization.cuda.graph_spec:
        assert tuple(graph.input[contract.NORMALIZED.name].dim) == usual[1:]


@each_network
def test_the_queue_and_the_executions_fit_the_cuda_pool(name: str) -> None:
    """At the largest tile, where a request needs most; an execution takes those that waited."""
    found, network = _configuration(name), contract.NETWORKS[name]
    queued = found.dynamic_batching.default_queue_policy.max_queue_size
    frames = profiles(name, largest_tile_px=LARGEST_PX)[-1].usual[0]
    assert queued == memory_pools.queued(network) > 0
    held = queued + 3 * min(queued, found.max_batch_size // frames)
    assert held >= memory_pools.IN_FLIGHT
    (answer,) = network.outputs
    values = contract.NORMALIZED.dims[0] + answer.dims[0] * (
        contract.MAP_ZOOM**2 if answer == contract.MAP else 1
    )
    pool = memory_pools.sizes(
        [contract.ensemble_of(name).name], tile_px=LARGEST_PX, frames=None, zoom=8, in_flight=1
    ).cuda_pool_bytes
    assert pool >= memory_pools.HEADROOM * held * frames * LARGEST_PX**2 * 4 * values
