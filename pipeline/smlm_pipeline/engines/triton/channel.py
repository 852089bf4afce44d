"""How gRPC shares requests out over several servers, and what a channel to them allows."""

from __future__ import annotations

import json

UNLIMITED = -1
"""Message size. Stated, because a client that is given arguments drops its own defaults, and
then refuses answers above 4 MiB."""

KEEPALIVE_MS = 310_000
"""How long a request may be silent before the connection is tested by a ping. Triton allows one in
300 s and closes connections that send more; a machine that is gone is noticed after this time."""

KEEPALIVE_ANSWER_MS = 20_000
"""Longest wait for the answer to that ping, and for the receipt of what was sent."""

RECONNECT_FIRST_MS, RECONNECT_MOST_MS = 200, 5_000
"""Pauses between attempts to reach a server that is gone; by default they grow to two minutes, in
which a server that has come back would get nothing."""

LOOK_UP_LEAST_MS = 5_000
"""Least time between two look-ups of a name; by default 30 s, more than all attempts take."""

EJECTION_S, EJECTION_MOST_S = 5, 60
"""How long a server that fails is left out: the first time, and at most."""

_ROUND_ROBIN: dict[str, object] = {"round_robin": {}}

_WITHOUT_FAILING: dict[str, object] = {
    "outlier_detection_experimental": {
        "interval": "1s",
        "baseEjectionTime": f"{EJECTION_S}s",
        "maxEjectionTime": f"{EJECTION_MOST_S}s",
        # One server always stays, however many fail.
        "maxEjectionPercent": 50,
        # Nearly all requests of the last second failed, as those of a full queue do not. Chunks
        # are few, so one is enough.
        "failurePercentageEjection": {
            "threshold": 80,
            "enforcementPercentage": 100,
            "minimumHosts": 1,
            "requestVolume": 1,
        },
        "childPolicy": [_ROUND_ROBIN],
    }
}
"""A server that drains, or whose model died, answers at once, and so would get half of all
requests for ever: gRPC leaves out for a while whoever fails (its proposal A50)."""


def channel_arguments(target: str, server_count: int) -> list[tuple[str, int | str]]:
    """Arguments of a channel: round robin, and with several servers without those that fail.

    A single server is never left out: all its failures, a full queue among them, are retried.
    Of ``http_proxy`` and ``no_proxy`` gRPC makes use for names alone: it would ask the proxy for
    a list as if that were one host, and for the server that we started on this machine.
    """
    # Of this list gRPC takes the first that it knows: older versions know round robin only.
    policies = [_WITHOUT_FAILING, _ROUND_ROBIN] if server_count > 1 else [_ROUND_ROBIN]
    return [
        ("grpc.max_send_message_length", UNLIMITED),
        ("grpc.max_receive_message_length", UNLIMITED),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MOST_MS),
        ("grpc.enable_http_proxy", int(target.startswith("dns:"))),
        ("grpc.dns_min_time_between_resolutions_ms", LOOK_UP_LEAST_MS),
        ("grpc.service_config", json.dumps({"loadBalancingConfig": policies})),
    ]
