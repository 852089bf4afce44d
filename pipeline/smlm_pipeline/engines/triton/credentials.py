"""The credentials of a gRPC channel with TLS."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]

from smlm_pipeline.engines.triton.tls import ClientTls


def credentials_of(tls: ClientTls) -> tuple[grpc.ChannelCredentials, list[tuple[str, str]]]:
    """Return a channel's credentials, and the arguments that it needs with them."""
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
    if tls.token is not None:
        token = grpc.access_token_call_credentials(tls.token)
        credentials = grpc.composite_channel_credentials(credentials, token)
    if tls.server_name is None:
        return credentials, []
    return credentials, [("grpc.ssl_target_name_override", tls.server_name)]
