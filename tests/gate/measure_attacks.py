"""Measure what attacks on an open gate cost an honest client: the table of docs/gate.md.

``python tests/gate/measure_attacks.py``; five minutes, a line of JSON for each attack.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.gates import gate_before
from fakes.infer_requests import arrays, request
from fakes.raw_http2 import Crowd, RawClient, crowd
from fakes.transports import ComputingTransport
from fakes.triton_server import FakeTriton
from smlm_pipeline.gate.calls import SERVICE

SECONDS, BEGIN_S, GIVE_UP_S = 20.0, 10.0, 90.0
RENEW_S, RETRY_S, PAUSE_S = 0.02, 0.2, 0.05

SMALL = request().SerializeToString()
_MORE = {name: arrays(2, 40, 40)[name] for name in ("FRAMES", "LEVELS", "WINDOW")}
LARGE = request(values=_MORE).SerializeToString()
"""What an attacker asks for: its answer has 20 MB."""

Attack = Callable[[Crowd, list[str], threading.Event], None]


class _Server(FakeTriton):
    def _infer(self, question: Any, context: grpc.ServicerContext) -> Any:
        answer = super()._infer(question, context)
        if tuple(question.inputs[0].shape) == _MORE["FRAMES"].shape:
            answer.raw_output_contents.append(bytes(20_000_000))
        return answer


def _calls(ask: Callable[[RawClient], int], most: int, window_bytes: int) -> Attack:
    """Each host has a connection with so many calls, and replaces those that were ended."""

    def attack(attackers: Crowd, hosts: list[str], ended: threading.Event) -> None:
        clients: dict[str, tuple[RawClient, set[int]]] = {}
        while not ended.wait(RENEW_S):
            for host in hosts:
                if host not in clients or not clients[host][0].is_open:
                    clients[host] = attackers.join(host, window_bytes=window_bytes), set()
                client, begun = clients[host]
                for _ in range(most - len(begun - client.ended)):
                    begun.add(ask(client))

    return attack


def _connections(most: int) -> Attack:
    """So many connections without a request, replaced when they are ended."""

    def attack(attackers: Crowd, hosts: list[str], ended: threading.Event) -> None:
        while not ended.wait(RENEW_S):
            with contextlib.suppress(OSError):
                for number in range(most - len(attackers.clients)):
                    attackers.join(hosts[number % len(hosts)])

    return attack


def _honest(address: str, *, reconnects: bool) -> dict[str, object]:
    """How long requests take, each sent again until it is answered."""
    took_s, refused = list[float](), Counter[str]()
    until_s = time.monotonic() + SECONDS
    backoff = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 5000)]
    options = [("grpc.use_local_subchannel_pool", 1), *backoff]  # as the client has
    channel = grpc.insecure_channel(address, options=options)
    while (began_s := time.monotonic()) < until_s:
        while time.monotonic() - began_s < GIVE_UP_S:
            try:
                channel.unary_unary(f"{SERVICE}ModelInfer")(SMALL, timeout=60)
                break
            except grpc.RpcError as error:
                refused[error.code().name] += 1
                time.sleep(RETRY_S)
        took_s.append(time.monotonic() - began_s)
        if reconnects:
            channel.close()
            channel = grpc.insecure_channel(address, options=options)
        time.sleep(PAUSE_S)
    channel.close()
    ordered = sorted(took_s)
    places = {"median_s": 0.5, "p95_s": 0.95, "longest_s": 1.0}
    found = {
        name: round(ordered[int(part * (len(ordered) - 1))], 3) for name, part in places.items()
    }
    return {"requests": len(ordered), **found, "refused": dict(refused)}


def _measure(name: str, attack: Attack, host_count: int, *, reconnects: bool = False) -> None:
    hosts = [f"127.0.0.{10 + number}" for number in range(host_count)]
    ended = threading.Event()
    with (
        _Server(ComputingTransport()) as triton,
        gate_before(triton.address) as gate,
        crowd(gate.address) as attackers,
    ):
        attacking = threading.Thread(target=attack, args=(attackers, hosts, ended))
        attacking.start()
        time.sleep(BEGIN_S)
        found = _honest(gate.address, reconnects=reconnects)
        status = Path(f"/proc/{gate.process.pid}/status").read_text()
        (resident_kib,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        ended.set()
        attacking.join()
    found = {"attack": name, "hosts": host_count, **found, "gate_mb": int(resident_kib) // 1024}
    print(json.dumps(found), flush=True)  # noqa: T201 - what it measured


def _unfinished(client: RawClient) -> int:
    return client.ask(SMALL[:1000], stated_bytes=2_000_000)


if __name__ == "__main__":
    _measure("requests that do not end", _calls(_unfinished, 16, 65_535), 4)
    _measure("requests that do not end", _calls(_unfinished, 2, 65_535), 60)
    for count in (256, 2000):
        _measure(f"{count} idle connections", _connections(count), 4, reconnects=True)
    for hosts in (4, 12):
        unread = _calls(lambda client: client.ask(LARGE), 16, 0)
        _measure("answers that are not read", unread, hosts)
