"""The certificates of a gate, which are read again when their files change."""

from __future__ import annotations

from collections.abc import Callable

import grpc  # type: ignore[import-untyped]

from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.errors import SettingError
from smlm_pipeline.gate.files import Fault, stamp


class Certificates:
    """What a gate shows to clients, and asks of them.

    Parameters
    ----------
    tls : ServerTls
        The files.
    report : callable
        Receives a line when the files were read again, or cannot be used.
    """

    def __init__(self, tls: ServerTls, *, report: Callable[[str], None]) -> None:
        self._tls, self._report = tls, report
        self._stamp, self._fault = self._stamp_now(), Fault(report)

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look at the files before each connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._read(), self._changed, require_client_authentication=self._tls.ca is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificates if their files have changed and can be used; None keeps those before."""
        stamp_now = self._stamp_now()
        if stamp_now == self._stamp:
            return None
        tls = self._tls
        try:
            ServerTls.read(certificate=tls.certificate, key=tls.key, ca=tls.ca)
            read = self._read()
        except (SettingError, OSError) as error:  # it may be usable later, as one not yet valid
            self._fault.is_now(f"{error}; the certificates before stay")
            return None
        self._stamp = stamp_now
        self._fault.is_now("")
        self._report(f"{tls.certificate} is read again")
        return read

    def _stamp_now(self) -> list[object]:
        files = (self._tls.certificate, self._tls.key, self._tls.ca)
        return [None if file is None else stamp(file) for file in files]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration(
            [pair], None if tls.ca is None else tls.ca.read_bytes()
        )
