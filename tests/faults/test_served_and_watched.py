"""``recon-client serve`` and the image's start script, whose server is harmed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fakes.command_line import PLAIN, invoke
from fakes.faulty_proxy import FaultyProxy, after
from fakes.processes import CLIENT, PATIENCE_S, alive, children, free_port, started
from smlm_pipeline import contract

pytestmark = pytest.mark.triton


@contextlib.contextmanager
def _serving(repository: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``recon-client serve``, ready, and its address."""
    command = [*CLIENT, "serve", "--port", str(free_port()), *options]
    command += ["--model-repository", str(repository)]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as serving:
        assert serving.stdout is not None
        yield serving, serving.stdout.readline().split()[-1]


def _poison(address: str, model: str) -> None:
    """A request whose shape wraps in 64 bits to no bytes: it ends the process of the model."""
    request = service_pb2.ModelInferRequest(model_name=model)
    spec = next(each for each in contract.MODELS if each.name == model)
    for tensor in spec.inputs:
        shapes = {contract.FRAMES: [1 << 62, 0, 64, 2], contract.REQUEST: [2]}
        shape = shapes.get(tensor, [0, 2])
        request.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=shape)
        request.raw_input_contents.append(bytes(8) if tensor is contract.REQUEST else b"")
    with grpc.insecure_channel(address) as channel, contextlib.suppress(grpc.RpcError):
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)


def test_a_film_goes_on_after_a_poisoned_request(
    film_of_64: Path, tmp_path: Path, small_repository: Path, undisturbed: NDArray[np.float32]
) -> None:
    """Then the server is poisoned again, and the limit of its restarts is reached."""
    image = tmp_path / "image.tif"
    with _serving(small_repository, "--restarts", "1") as (serving, address):
        before = _descendants(serving.pid)
        with FaultyProxy(address, {10: after(lambda: _poison(address, "unet"))}) as proxy:
            asked = ["submit", str(film_of_64), "-o", str(image), "--server", proxy.address]
            asked += PLAIN
            done = invoke(*asked, "--chunk-frames", "2", "--in-flight", "3", "--attempts", "20")
        assert done.exit_code == 0, done.stderr
        np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
        assert not [pid for pid in before if alive(pid)]
        assert invoke("status", "--server", address).exit_code == 0
        _poison(address, "unet")
        _, told = serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 10
    lines = [line.removeprefix("recon-client: ") for line in told.splitlines()]
    assert lines[0] == "the process of unet ended; restarting (1 of 1)"
    assert lines[1].startswith("restarted after ")
    assert lines[2].startswith("the server is given up after one restart within 10 minutes: the p")


def _descendants(pid: int) -> list[int]:
    below = [child for each in children(pid) for child in (each, *children(each))]
    assert len(below) == 3  # the server, and a stub for each Python model
    return below
