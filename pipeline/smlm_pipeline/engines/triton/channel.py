"""Arguments of a gRPC channel: limits, and how requests are distributed over several servers."""

from __future__ import annotations

import json

UNLIMITED = -1
"""Message size. gRPC's own default refuses answers above 4 MiB."""

KEEPALIVE_MS = 310_000
"""Silence after which the connection is tested by a ping. Triton allows one in 300 s and closes
connections that send more; a machine that is gone is noticed after this time."""

KEEPALIVE_ANSWER_MS = 20_000
"""Longest wait for the answer to that ping, and for the acknowledgement of sent data."""

RECONNECT_FIRST_MS, RECONNECT_MOST_MS = 200, 5_000
"""Pauses between attempts to reach a server that is gone; by default they grow to two minutes, in
which a restarted server would get no requests."""

LOOK_UP_LEAST_MS = 5_000
"""Least time between two look-ups of a name; the default of 30 s exceeds all attempts."""

EJECTION_S, EJECTION_MOST_S = 5, 60
"""Time for which a server that fails is left out: the first time, and at most."""

_ROUND_ROBIN: dict[str, object] = {"round_robin": {}}

_WITHOUT_FAILING: dict[str, object] = {
    "outlier_detection_experimental": {
        "interval": "1s",
        "baseEjectionTime": f"{EJECTION_S}s",
        "maxEjectionTime": f"{EJECTION_MOST_S}s",
        # One server always stays, however many fail.
        "maxEjectionPercent": 50,
        # Nearly all requests of the last second failed, which a full queue does not cause.
        # Chunks are few, so one is enough.
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
requests for ever: gRPC leaves servers that fail out for a while (its proposal A50)."""


def channel_arguments(target: str, server_count: int) -> list[tuple[str, int | str]]:
    """Return a channel's arguments: round robin, and with several servers without those that fail.

    A single server is never left out: all its failures, a full queue among them, are retried.
    gRPC uses ``http_proxy`` and ``no_proxy`` for names alone: it would otherwise ask the proxy
    for a list as if that were one host, and for the embedded server of this machine.
    """
    # gRPC takes the first policy that it knows: older versions know round robin only.
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
