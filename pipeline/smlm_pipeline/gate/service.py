"""The gate as a gRPC service: what it lets through to a server, and how much of it at once.

A client is known, and its requests under way are counted, before a byte of its message is read. A
request gets a place when its message is there; until then it has one of fewer places. It may lose
each to another client until its answer is sent (`smlm_pipeline.gate.places`). A message is checked
before the server gets it (`smlm_pipeline.gate.requests`). An answer is read from the server when
there is room for it; until then gRPC's flow control leaves it there. A client that does not take it
loses its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from grpc.aio import Metadata  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from smlm_pipeline import contract
from smlm_pipeline.engines.triton.errors import BROKEN_CONNECTION, LOST, TOO_LARGE, is_lost
from smlm_pipeline.errors import ChunkError, ContractError
from smlm_pipeline.gate.behind import Behind
from smlm_pipeline.gate.calls import QUESTION_S, QUESTIONS, SERVICE
from smlm_pipeline.gate.clients import ANONYMOUS, Client, Clients
from smlm_pipeline.gate.connections import Connections, Peer
from smlm_pipeline.gate.counts import Counts
from smlm_pipeline.gate.line import Line, Turn
from smlm_pipeline.gate.places import NoPlaceError, Place, Places, Receptions
from smlm_pipeline.gate.requests import CheckedRequest, check_request
from smlm_pipeline.gate.room import Room

REQUESTS_MOST, QUESTIONS_MOST = 64, 64
"""Most requests for inference, and most questions, under way at once, of all clients: those that
were received whole."""

RECEIVED_MOST = 32
"""Most messages that are being received at once, of all clients."""

CLIENT_QUESTIONS_MOST = 8
"""Most questions of one client that are answered at once."""

ANSWERS_BYTES_MOST = 1 << 30
"""Most bytes of answers held in memory at once, to all clients, by the most that each can have."""

QUESTION_BYTES_MOST = 4096

PLACE_S = 60.0
"""Longest wait for a place; then the client sends the request again."""

READ_S, ANSWER_S = 60.0, 900.0
"""Longest time to receive a request, and longest wait for the server."""

SURE_S = 5.0
"""Time for which one request of a client may be on its way though others cannot send theirs."""

TAKEN_S, TAKEN_LEAST_BYTES_PER_S = 60.0, 250_000
"""Time in which a client has to take an answer, beside that which its bytes need at this rate."""

_KEPT_TEXTS = (
    *("maximum queue size", "tub process", "no available versions"),
    *(contract.SWAPPED, *LOST),  # a late answer that Triton mixed up
)
"""Parts of texts of a server by which clients decide whether to send a request again."""

_UNREADABLE = f"in ensemble 'behind the gate', {LOST[-1]}"
"""What a client gets instead of a text from the server's memory, which may be another client's."""

_KEPT_CODES = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
"""Codes whose texts are about the request alone; others may hold addresses behind the gate."""

_Handler = Callable[[Any, Any], Awaitable[None]]


class RefusedError(Exception):
    """Why a request does not pass, in gRPC's terms."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Gate(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The methods that clients may call.

    Parameters
    ----------
    clients : Clients
        Who is admitted.
    behind : Behind
        The servers.
    connections : Connections
        Those of the clients.
    """

    def __init__(self, clients: Clients, behind: Behind, connections: Connections) -> None:
        self._clients, self._behind, self.counts = clients, behind, Counts()
        self._connections = connections
        self._receptions = Receptions(RECEIVED_MOST, sure_s=SURE_S)
        self._requests, self._questions = Places(REQUESTS_MOST), Places(QUESTIONS_MOST)
        self._before_places = Line(self._has_place, self._requests.count)
        self._requests.changed = self._before_places.advance
        self._answers = Room(ANSWERS_BYTES_MOST)
        self._busy: dict[int, Client] = {}

    @property
    def busy(self) -> list[Client]:
        """The clients with requests under way."""
        return list(self._busy.values())

    def service(self, handler_call_details: Any) -> Any:
        """Return what answers a method; None for all that is closed."""
        prefix, _, name = handler_call_details.method.rpartition("/")
        if f"{prefix}/" != SERVICE:
            return None
        if name == "ModelInfer":
            return grpc.stream_stream_rpc_method_handler(self._answer_request)
        if name in QUESTIONS:

            async def answer(_messages: Any, context: Any) -> None:
                await self._answer_question(name, context)

            return grpc.stream_stream_rpc_method_handler(answer)
        return None

    async def _answer_request(self, _messages: Any, context: Any) -> None:
        """Let one request for inference through, or end it with a refusal."""
        client: Client | None = None
        try:
            client = self._admitted(context)
            with self._counted(client), self._connections.busy(context.peer()):
                await self._in_turn(client, context)
        except (NoPlaceError, asyncio.TimeoutError):
            await self._refuse(client, context, _full())
        except RefusedError as refusal:
            await self._refuse(client, context, refusal)

    async def _in_turn(self, client: Client, context: Any) -> None:
        """Read a request when there is a place for it, and let it through."""
        async with self._before_places.turn(client, PLACE_S) as turn:
            message = await self._received(client, context)

            async def work(place: Place) -> None:
                turn.leave()  # it has the place
                await self._pass_on(place, message, context)

            await self._requests.held(client, work)

    def _has_place(self, client: Client, turns: int, own: int) -> bool:
        """Whether a request can be read, beside so many, and so many of its client."""
        if own and turns >= RECEIVED_MOST:
            return False
        received = min(turns, RECEIVED_MOST)  # more are those of clients that may never end
        return self._requests.has_room(client, received, own)

    async def _pass_on(self, place: Place, message: bytes, context: Any) -> None:
        client = place.client
        try:
            request = check_request(message, client.limits)
        except ChunkError as error:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        except ContractError as error:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, str(error)) from error
        pause_s = client.pause_s(len(message), time.monotonic())
        if pause_s:
            await asyncio.sleep(pause_s)
        async with self._behind.turn(client) as (calls, turn):
            if calls is None:
                raise _of_the_server(grpc.StatusCode.UNAVAILABLE, None)
            call = calls.infer(timeout=min(context.time_remaining() or ANSWER_S, ANSWER_S))
            try:
                sent_bytes = await self._answer_from(call, request, place, turn, context)
            except grpc.RpcError as error:
                calls.ended(error.code())
                raise _of_the_server(error.code(), error.details()) from error
            finally:
                call.cancel()
        self.counts.answered(client.name, request.frames, len(message), sent_bytes)

    async def _answer_from(
        self, call: Any, request: CheckedRequest, place: Place, turn: Turn, context: Any
    ) -> int:
        """Send a request to the server and its answer to the client; return the answer's bytes."""
        with contextlib.suppress(asyncio.InvalidStateError):  # the call has failed already
            await call.write(request.message)
            await call.done_writing()
        await call.initial_metadata()  # the answer is there, or the reason why there is none
        turn.leave()
        client, most_bytes = place.client, request.answer_bytes_most
        async with client.answers, self._answers.held(client, most_bytes) as share:
            answer = await call.read()
            if answer is grpc.aio.EOF:
                raise grpc.aio.AioRpcError(
                    await call.code(), Metadata(), Metadata(), details=await call.details()
                )
            share.shrink(len(answer))
            place.keep()  # gRPC would keep what it has of the answer
            await self._write(context, answer)
        return len(answer)

    async def _write(self, context: Any, answer: bytes) -> None:
        """Send an answer; gRPC lets go of one that is not taken with its connection alone."""
        within_s = TAKEN_S + len(answer) / TAKEN_LEAST_BYTES_PER_S
        try:
            await asyncio.wait_for(context.write(answer), within_s)
        except asyncio.TimeoutError as error:
            self._connections.end(context.peer())
            text = f"the answer was not taken within {within_s:.0f} s; send the request again"
            raise RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from error

    async def _refuse(self, client: Client | None, context: Any, refusal: RefusedError) -> None:
        self.counts.refused(client.name if client else ANONYMOUS, refusal.code.name)
        await context.abort(refusal.code, refusal.text)

    async def _answer_question(self, name: str, context: Any) -> None:
        """Answer a question about the server or a model, from the server."""
        try:
            client = self._admitted(context)
            with self._asking(client), self._connections.busy(context.peer()):
                message = await self._received(client, context, QUESTION_S)
                await self._questions.held(
                    client, lambda place: self._reply(place, name, message, context)
                )
        except NoPlaceError:
            await context.abort(_full().code, _full().text)
        except RefusedError as refusal:
            await context.abort(refusal.code, refusal.text)
        except grpc.RpcError as error:
            of_the_server = _of_the_server(error.code(), error.details())
            await context.abort(of_the_server.code, of_the_server.text)

    async def _reply(self, place: Place, name: str, message: bytes, context: Any) -> None:
        answer = await self._answer(name, message)
        place.keep()
        await self._write(context, answer)

    async def _answer(self, name: str, message: bytes) -> bytes:
        """The answer to a question, both encoded."""
        asked = _question(name, message)
        if isinstance(asked, service_pb2.ModelReadyRequest) and not _is_known(asked.name):
            return bytes(service_pb2.ModelReadyResponse(ready=False).SerializeToString())
        answer = await self._behind.ask(name, asked.SerializeToString())
        if answer is None:
            raise _of_the_server(grpc.StatusCode.UNAVAILABLE, None)
        return answer

    async def _received(self, client: Client, context: Any, within_s: float = READ_S) -> bytes:
        """The only message of a call."""
        try:
            reading = self._receptions.held(client, lambda _: context.read())
            message = await asyncio.wait_for(reading, within_s)
        except asyncio.TimeoutError as error:
            text = f"the request was not received within {within_s:.0f} s; send it again"
            raise RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from error
        if message is grpc.aio.EOF:
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, "there is no message; expected one"
            )
        return bytes(message)

    def _admitted(self, context: Any) -> Client:
        metadata = dict(context.invocation_metadata() or ())
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        peer = Peer.of_grpc(context.peer())
        client = self._clients.find(
            token if scheme.lower() == "bearer" else None,
            _certified_names(context.auth_context()),
            peer.site if peer else context.peer(),
        )
        if client is None:
            raise RefusedError(
                grpc.StatusCode.UNAUTHENTICATED,
                "the gate knows neither a token nor a certificate of this client; give "
                "--token-file, or --tls-cert and --tls-key",
            )
        return client

    @contextlib.contextmanager
    def _counted(self, client: Client) -> Iterator[None]:
        """Count a request of a client while it is under way."""
        if client.under_way >= client.limits.requests:
            raise RefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{client.name} has {client.under_way} requests under way, which is its limit; "
                "send it again later",
            )
        client.under_way += 1
        self._busy[id(client)] = client
        try:
            yield
        finally:
            client.under_way -= 1
            if not client.under_way:
                del self._busy[id(client)]

    @contextlib.contextmanager
    def _asking(self, client: Client) -> Iterator[None]:
        """Count a question of a client while it is answered."""
        if client.questions >= CLIENT_QUESTIONS_MOST:
            raise RefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{client.name} asks {client.questions} questions at once, which is the limit; "
                "ask again later",
            )
        client.questions += 1
        try:
            yield
        finally:
            client.questions -= 1


def _full() -> RefusedError:
    text = "the gate has too many requests under way; send it again later"
    return RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def _question(name: str, message: bytes) -> Any:
    """A question as the server gets it: about a model that clients may know, or about itself."""
    kind = getattr(service_pb2, f"{name}Request")
    try:
        stated = kind.FromString(message if len(message) <= QUESTION_BYTES_MOST else b"\xff")
    except DecodeError as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"this is no {name}Request") from error
    if not name.startswith("Model"):
        return kind()
    if name != "ModelReady" and not _is_known(stated.name):
        raise RefusedError(grpc.StatusCode.NOT_FOUND, "there is no such model for clients")
    version = stated.version if stated.version.isdecimal() and len(stated.version) < 10 else ""
    return kind(name=stated.name, version=version)


def _is_known(model: str) -> bool:
    return any(model == each.name for each in contract.MODELS)


def _certified_names(identity: Any) -> list[str]:
    """Names in the certificate of a client, which gRPC has verified."""
    kinds = ("x509_subject_alternative_name", "x509_common_name")
    found = [name for kind in kinds for name in identity.get(kind) or ()]
    return [name.decode("utf-8", "replace") for name in found]


def _of_the_server(code: grpc.StatusCode, text: str | None) -> RefusedError:
    """The refusal that a client gets for an error of the server."""
    said = text or ""
    if is_lost(said) and not any(words in said for words in LOST):
        return RefusedError(code, _UNREADABLE)
    if code in _KEPT_CODES or any(words in said for words in _KEPT_TEXTS):
        return RefusedError(code, said)
    for words in (*BROKEN_CONNECTION, TOO_LARGE):  # a text of gRPC, which may hold an address
        if words in said:
            return RefusedError(code, f"the server behind the gate: {words}")
    return RefusedError(code, f"the server behind the gate answered with {code.name}")
