"""A server that answers every request at once with one emitter, to measure the client alone."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape
from smlm_pipeline.errors import ServerError

WINDOW_BYTES = 4 * contract.WINDOW.dims[0]
"""Size of the window, the last tensor of a request: to parse all of it would be to copy it."""

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
        zoom, _, _, height, width = np.frombuffer(window, "<i4").tolist()
        return _encoded(one_emitter(zoom, height, width), frames)

    def infer(request: bytes, _context: Any) -> bytes:
        return answer(request[-WINDOW_BYTES:])

    handler = grpc.unary_unary_rpc_method_handler(infer)  # bytes in, bytes out
    service = "inference.GRPCInferenceService"
    server = grpc.server(ThreadPoolExecutor(4), options=_UNLIMITED)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"ModelInfer": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(grace=None).wait()


def one_emitter(zoom: int, height_px: int, width_px: int) -> NDArray[np.int32]:
    """Sum of a tile core with one emitter in its first pixel.

    Parameters
    ----------
    zoom : int
        SR pixels along a camera pixel.
    height_px, width_px : int
        Size of the core in camera pixels.

    Returns
    -------
    ndarray, shape (zoom (Y + 2 margin), zoom (X + 2 margin)), int32
        In the contract's weights.
    """
    image = np.zeros(image_shape(zoom, height_px, width_px), np.int32)
    image[contract.MARGIN_PX * zoom, contract.MARGIN_PX * zoom] = contract.WEIGHT_ONE
    return image


def _encoded(image: NDArray[np.int32], frames: int) -> bytes:
    answer = service_pb2.ModelInferResponse(model_name=contract.RECONSTRUCTION.name)
    for spec, array in (
        (contract.IMAGE, image),
        (contract.FRAME_COUNT, np.array([frames], np.int32)),
    ):
        answer.outputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    encoded: bytes = answer.SerializeToString()
    return encoded


if __name__ == "__main__":  # a process of its own, so that the client shares no interpreter with it
    serve(int(sys.argv[1]))
