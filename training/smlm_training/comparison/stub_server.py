"""A server that answers every request at once with the same sum, to measure the client alone.

A process of its own, run by `smlm_training.comparison.client_speed`: it reads no more of a
request than gRPC does, prints its address and ends with its standard input.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import typer
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def main(height: int, width: int, frames: int) -> None:
    """Serve on a free port of the loopback: an image of that shape, over so many frames."""
    answer = _answer(np.zeros((height, width), np.int32), frames)

    def infer(_request: bytes, _context: Any) -> bytes:
        return answer

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


def _answer(image: np.ndarray[Any, np.dtype[np.int32]], frames: int) -> bytes:
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
