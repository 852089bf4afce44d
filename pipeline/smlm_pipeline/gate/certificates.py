"""The certificates of a gate, which are read again when their files change."""

from __future__ import annotations

from collections.abc import Callable

import grpc  # type: ignore[import-untyped]

from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.gate.files import Certified


def credentials_to_clients(
    tls: ServerTls, *, report: Callable[[str], None]
) -> grpc.ServerCredentials:
    """Return what a gate shows to clients, and asks of them; it looks before each connection.

    Parameters
    ----------
    tls : ServerTls
        The files.
    report : callable
        Receives a line when the files were read again, or cannot be used.
    """

    def checked() -> grpc.ServerCertificateConfiguration:
        ServerTls.read(certificate=tls.certificate, key=tls.key, ca=tls.ca)
        return _read(tls)

    files = Certified((tls.certificate, tls.key, tls.ca), checked, report=report)
    return grpc.dynamic_ssl_server_credentials(
        _read(tls), files.changed, require_client_authentication=tls.ca is not None
    )


def _read(tls: ServerTls) -> grpc.ServerCertificateConfiguration:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    return grpc.ssl_server_certificate_configuration(
        [pair], None if tls.ca is None else tls.ca.read_bytes()
    )
