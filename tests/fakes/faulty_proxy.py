"""A gRPC server in front of a real one that spoils chosen answers.

A fault is a function of one call: it may wait, ask the server, and answer or refuse. The
first request for inference is number 1, and those without a fault are passed on as they are.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract

SERVICE = "inference.GRPCInferenceService"

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Call:
    """One request for inference on its way: its ``number`` and what may be done with it."""

    def __init__(
        self, proxy: FaultyProxy, number: int, request: bytes, context: grpc.ServicerContext
    ) -> None:
        self.number = number
        self._proxy, self._request, self._context = proxy, request, context
        self._over = threading.Event()
        if not context.add_callback(self._over.set):
            self._over.set()

    def passed_on(self) -> bytes:
        """What the server answers; its error, if it has one, becomes the proxy's."""
        answer = self._proxy.ask("ModelInfer", self._request, self._context)
        self._proxy.keep(self._request, answer)
        return answer

    def answer_to_another(self) -> bytes:
        """What the server has answered, or will answer, to another request."""
        return self._proxy.wait_for_another(self._request)

    def refuse(self, status: grpc.StatusCode, text: str) -> NoReturn:
        """End the call with an error."""
        self._context.abort(status, text)
        raise AssertionError("abort raises")

    def wait_for_its_end(self) -> None:
        """Block until the client has hung up, or the proxy is closed."""
        self._over.wait()

    def wait_for_its_repetition(self) -> None:
        """Block until the client has sent the same request again, or the proxy is closed."""
        self._proxy.wait_for_repetition(self._request)

    def wait_for_later_ones(self, count: int) -> None:
        """Block until so many further requests have come, or the proxy is closed."""
        self._proxy.wait_for_number(self.number + count)


Fault = Callable[[Call], bytes]


class FaultyProxy:
    """On a free port of the loopback, running within a ``with`` block.

    Parameters
    ----------
    upstream : str
        ``HOST:PORT`` of the real server.
    faults : mapping of number to fault
        What is done with which request for inference, counted from 1.
    """

    def __init__(self, upstream: str, faults: Mapping[int, Fault] | None = None) -> None:
        self._faults = {} if faults is None else faults
        self._changed = threading.Condition()
        self._closed = False
        self._sent: Counter[bytes] = Counter()
        self._answers: dict[bytes, bytes] = {}
        self._upstream = grpc.insecure_channel(upstream, options=_UNLIMITED)
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="proxy")
        self._server = grpc.server(self._pool, options=_UNLIMITED)
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> FaultyProxy:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.stop(grace=None).wait()
        self._upstream.close()
        self._pool.shutdown()

    @property
    def inferences(self) -> int:
        """Requests for inference that have come so far, those sent again included."""
        with self._changed:
            return self._sent.total()

    @property
    def chunks(self) -> int:
        """Different requests for inference that have come so far."""
        with self._changed:
            return len(self._sent)

    def ask(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        """The upstream server's answer, or its error as the end of the call."""
        try:
            answer: bytes = self._upstream.unary_unary(f"/{SERVICE}/{method}")(request)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise AssertionError("abort raises") from error
        return answer

    def wait_for_repetition(self, request: bytes) -> None:
        """Block until a request that has come once comes again, or the proxy is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._sent[_key(request)] > 1)

    def wait_for_number(self, number: int) -> None:
        """Block until the request of this number has come, or the proxy is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._sent.total() >= number)

    def keep(self, request: bytes, answer: bytes) -> None:
        """Remember an answer, to give it to another request."""
        with self._changed:
            self._answers[_key(request)] = answer
            self._changed.notify_all()

    def wait_for_another(self, request: bytes) -> bytes:
        """Block until another request has been answered, or the proxy is closed; that answer."""
        key = _key(request)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._answers.keys() - {key})
            return next((self._answers[each] for each in self._answers if each != key), b"")

    def _handlers(self) -> grpc.GenericRpcHandler:
        methods = service_pb2.DESCRIPTOR.services_by_name[SERVICE.split(".")[1]].methods
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(self._passing(method.name))
            for method in methods
            if not method.client_streaming  # this project has no use for streams
        }
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self._infer)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _passing(self, method: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        return lambda request, context: self.ask(method, request, context)

    def _infer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._changed:
            self._sent[_key(request)] += 1
            number = self._sent.total()
            self._changed.notify_all()
        call = Call(self, number, request, context)
        return self._faults.get(number, Call.passed_on)(call)


def delayed(call: Call) -> bytes:
    """The answer comes after those to requests that were sent later."""
    answer = call.passed_on()
    call.wait_for_later_ones(4)
    return answer


def lost(call: Call) -> bytes:
    """The server has computed, and then reports that it is not available."""
    call.passed_on()
    call.refuse(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def unheard(call: Call) -> bytes:
    """The server has computed, and the client hears nothing before it gives up."""
    answer = call.passed_on()
    call.wait_for_its_end()
    return answer


def too_late(call: Call) -> bytes:
    """The answer comes when the client has given up and has sent the request again."""
    answer = call.passed_on()
    call.wait_for_its_repetition()
    return answer


def duplicated(call: Call) -> bytes:
    """The server computes twice, and the client gets the second answer."""
    call.passed_on()
    return call.passed_on()


def swapped(call: Call) -> bytes:
    """The client gets the answer to another request, as a success."""
    call.passed_on()
    return call.answer_to_another()


def refused(status: grpc.StatusCode, text: str) -> Fault:
    """The server never hears of it, and the client gets this error."""

    def fault(call: Call) -> bytes:
        call.refuse(status, text)

    return fault


def after(action: Callable[[], Any]) -> Fault:
    """Do something to the world while the client waits, and pass the call on then."""

    def fault(call: Call) -> bytes:
        action()
        return call.passed_on()

    return fault


def _key(request: bytes) -> bytes:
    """The same for a request that is sent again, under another number."""
    message = service_pb2.ModelInferRequest.FromString(request)
    names = [tensor.name for tensor in message.inputs]
    message.raw_input_contents[names.index(contract.REQUEST.name)] = b""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
