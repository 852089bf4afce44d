"""A server that answers every request at once with a sum of nearly nothing.

With it the client alone is measured. It is a process of its own, which prints its address and
ends with its standard input; of a request it reads what tells the shape of the answer.
"""

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
import typer
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.compute.tiles import image_shape

WINDOW_BYTES = 4 * contract.WINDOW.dims[0]
"""Of the window, which the client sends last: to parse the request would be to copy it."""

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@contextmanager
def stub_server(frames: int) -> Iterator[str]:
    """The address of a server that takes requests of so many frames."""
    server = subprocess.Popen(
        [sys.executable, "-m", "smlm_bench.speed.stub_server", str(frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the stub server has no pipes")
        yield server.stdout.readline().strip()
        server.stdin.close()


def main(frames: int) -> None:
    """Serve on a free port of the loopback: one emitter at the first pixel of the core."""

    @functools.cache
    def answer(window: bytes) -> bytes:
        zoom, _, _, height, width = np.frombuffer(window, "<i4").tolist()
        image = np.zeros(image_shape(zoom, height, width), np.int32)
        image[contract.MARGIN_PX * zoom, contract.MARGIN_PX * zoom] = contract.WEIGHT_ONE
        return _encoded(image, frames)

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
    typer.echo(f"127.0.0.1:{port}")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(grace=None).wait()


def _encoded(image: np.ndarray[Any, np.dtype[np.int32]], frames: int) -> bytes:
    answer = service_pb2.ModelInferResponse(model_name=contract.RECONSTRUCTION.name)
    for spec, array in (
        (contract.IMAGE, image),
        (contract.FRAME_COUNT, np.array([frames], np.int32)),
    ):
        answer.outputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        answer.raw_output_contents.append(array.tobytes())
    encoded: bytes = answer.SerializeToString()
    return encoded


if __name__ == "__main__":
    typer.run(main)
