"""A server that answers every request at once, to measure the client alone."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import Window
from smlm_pipeline.errors import ServerError

_BORDERS_BYTES = 2 + 4 * contract.CLASS_BORDERS.dims[0]
"""Size of the last tensor of a request, with its two bytes of protobuf."""

_WINDOW_BYTES = 4 * contract.WINDOW.dims[0]
"""Size of the window, the tensor before: to parse all of a request would be to copy it."""

_NUMBER_BYTES = 4 * contract.REQUEST.dims[0]
"""Size of the number of the request, the tensor before the window."""

_NUMBER_FIELD = bytes([6 << 3 | 2, _NUMBER_BYTES])
"""What protobuf puts before the number in an answer: field 6, which takes so many bytes."""

_EVERY = 10
"""One of so many SR pixels is not zero: as in the answers to dense films of large frames."""

_END_TIMEOUT_S = 10.0
"""Longest wait for the server's end, before it is killed."""

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def stub_server(frames: int) -> Iterator[str]:
    """Run the server in a process of its own within a ``with`` block.

    Parameters
    ----------
    frames : int
        Frames of every request, which each answer states.

    Yields
    ------
    str
        Address as ``HOST:PORT``.

    Raises
    ------
    ServerError
        If the server does not start.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, str(frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
        if not address:
            raise ServerError("the stub server did not start; expected its address: see above")
        yield address
    finally:
        _end(server)


def _end(server: subprocess.Popen[str]) -> None:
    """Close the server's standard input, which ends it; kill it if it does not end."""
    try:
        server.communicate(timeout=_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()


def serve(frames: int) -> None:
    """Serve on a free port of the loopback until standard input is closed.

    Parameters
    ----------
    frames : int
        Frames of every request.
    """

    @functools.cache
    def answer(window: bytes) -> bytes:
        zoom, top, left, height, width, classes, _ = np.frombuffer(window, "<i4").tolist()
        return _encoded(stub_sums(Window(zoom, top, left, height, width, classes)), frames)

    def infer(request: bytes, _context: Any) -> bytes:
        window = request[-_BORDERS_BYTES - _WINDOW_BYTES : -_BORDERS_BYTES]
        end = -_BORDERS_BYTES - _WINDOW_BYTES - 2  # the window has two bytes of protobuf, too
        return answer(window) + _NUMBER_FIELD + request[end - _NUMBER_BYTES : end]

    ready = service_pb2.ServerReadyResponse(ready=True).SerializeToString()
    answers: dict[str, Callable[[bytes, Any], bytes]] = {
        "ModelInfer": infer,
        # What a gate asks its servers: this one is ready, and states nothing of its models.
        "ServerReady": lambda _question, _context: ready,
        "ServerMetadata": lambda _question, _context: b"",
        "ModelReady": lambda _question, _context: b"",
    }
    handlers = {  # bytes in, bytes out
        name: grpc.unary_unary_rpc_method_handler(method) for name, method in answers.items()
    }
    service = "inference.GRPCInferenceService"
    server = grpc.server(ThreadPoolExecutor(4), options=_UNLIMITED)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(grace=None).wait()


def stub_sums(window: Window) -> SparseSums:
    """Half an emitter in every tenth SR pixel of a window's image."""
    index = np.arange(0, window.size, _EVERY)
    return SparseSums(index, np.full(len(index), contract.WEIGHT_ONE // 2))


def _encoded(sums: SparseSums, frames: int) -> bytes:
    """The answer without the number of the request, its last tensor."""
    answer = service_pb2.ModelInferResponse(model_name=contract.RECONSTRUCTION.name)
    step, weight = encode(sums)
    for spec, array in (
        (contract.STEP, step),
        (contract.WEIGHT, weight),
        (contract.FRAME_COUNT, np.array([frames], np.int32)),
    ):
        answer.outputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    summed = contract.SUMMED_REQUEST
    answer.outputs.add(name=summed.name, datatype=summed.dtype, shape=summed.dims)
    encoded: bytes = answer.SerializeToString()
    return encoded


if __name__ == "__main__":  # a process of its own, so that the client shares no interpreter with it
    serve(int(sys.argv[1]))
