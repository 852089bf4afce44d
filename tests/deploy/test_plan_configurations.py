"""What ``config.pbtxt`` asks of a TensorRT plan is what the plan is built with."""

from __future__ import annotations

import math
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
def test_a_request_is_an_execution(name: str) -> None:
    """No batch axis, so no requests are joined; and no graphs, which would be for batches."""
    found = _configuration(name)
    assert found.max_batch_size == 0
    assert not found.dynamic_batching.preferred_batch_size
    assert not found.optimization.cuda.graphs


@each_network
def test_clients_are_asked_for_what_kernels_are_chosen_for(name: str) -> None:
    stated = int(_configuration(name).parameters[contract.REQUEST_PIXELS_PARAMETER].string_value)
    for profile in profiles(name, largest_tile_px=LARGEST_PX):
        frames, height_px, width_px = profile.usual
        assert frames * height_px * width_px == stated


@each_network
def test_the_networks_queue_is_bounded(name: str) -> None:
    queue = _configuration(name).dynamic_batching.default_queue_policy
    assert queue.max_queue_size == memory_pools.queued(contract.NETWORKS[name])


@pytest.mark.parametrize("answer", contract.ANSWERS, ids=lambda answer: answer.name)
def test_the_cuda_pool_holds_what_waits_for_a_summation(answer: contract.Answer) -> None:
    queue = _configuration(answer.summation.name).dynamic_batching.default_queue_policy
    assert queue.max_queue_size == memory_pools.SUMMATIONS_QUEUED
    held = memory_pools.EXECUTIONS + queue.max_queue_size + memory_pools.SUMMATIONS
    (ensemble, *_) = (each for each in contract.ENSEMBLES.values() if each.answer == answer)
    largest = 4 * answer.channels * answer.zoom**2 * answer.pixels_most
    pool = memory_pools.sizes([ensemble.name]).cuda_pool_bytes
    assert pool >= math.floor(memory_pools.HEADROOM * held * largest)
