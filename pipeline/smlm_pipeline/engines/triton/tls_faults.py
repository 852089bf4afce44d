"""Why a client and a server do not come together: gRPC alone reports a closed connection."""

from __future__ import annotations

import socket
import ssl
import tempfile
from pathlib import Path

from smlm_pipeline.engines.triton.addresses import Address
from smlm_pipeline.engines.triton.tls import ClientTls, client_context

PATIENCE_S = 3.0
"""Longest wait for each step of a connection."""

_TLS_EXPECTED = (
    "it expects TLS; give --tls-ca with the certificate of its CA, or --tls if its certificate is "
    "from a public one"
)
_PLAIN = "it has no TLS; leave out the options of TLS, or start it with --tls-cert and --tls-key"
_WANTS_ANOTHER = (
    "it asks for a certificate of its clients, and does not take this one; give --tls-cert and "
    "--tls-key with one that is valid, and from the CA of the server's clients"
)
_WANTS_ONE = "it asks for a certificate of its clients; give --tls-cert and --tls-key"

_REMEDIES = {
    "has expired": "its certificate has expired; renew it",
    "not yet valid": "its certificate is not valid yet; see whether a clock is wrong",
    "mismatch": "its certificate is for another name; connect by a name that it states, or give "
    "that with --tls-server-name",
    "issuer": "its certificate is not from a CA of --tls-ca; expected that of the server",
    "self-signed": "its certificate is not from a CA of --tls-ca; expected that of the server",
}


def tls_fault(address: Address, tls: ClientTls | None) -> str | None:
    """Connect without gRPC, and return what is wrong; None if it is not TLS.

    Parameters
    ----------
    address : Address
        The server.
    tls : ClientTls or None
        How the client connects; None without TLS.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="recon_tls_") as folder,
            socket.create_connection((address.host, address.port), PATIENCE_S) as connection,
        ):
            context = client_context(tls, Path(folder))
            name = (tls.server_name if tls else None) or address.host
            with context.wrap_socket(connection, server_hostname=name) as shaken:
                return _TLS_EXPECTED if tls is None else _after_the_handshake(shaken, tls)
    except ssl.SSLCertVerificationError as error:
        known = (text for words, text in _REMEDIES.items() if words in error.verify_message)
        return next(known, f"its certificate is refused: {error.verify_message}")
    except ssl.SSLError:
        return None if tls is None else _PLAIN
    except OSError:
        return None


def _after_the_handshake(shaken: ssl.SSLSocket, tls: ClientTls) -> str | None:
    """A server checks its client's certificate last, and then closes the connection."""
    shaken.settimeout(PATIENCE_S)
    try:
        if shaken.recv(1):
            return None
    except TimeoutError:
        return None
    except OSError:  # the server's alert
        pass
    return _WANTS_ONE if tls.certificate is None else _WANTS_ANOTHER
