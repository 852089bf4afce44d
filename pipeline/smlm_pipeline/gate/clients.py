"""Who the clients of a gate are, and what each may ask for at once."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from smlm_pipeline.engines.triton.tls import ServerTls
from smlm_pipeline.errors import SettingError
from smlm_pipeline.gate.files import stamp

ANONYMOUS = "anonymous"
"""Name, in counts, of all clients that have neither a token nor a certificate."""

ANSWERS_MOST = 2
"""Most answers to one client that are in memory at once."""

BURST_S = 2.0
"""Time for which a client may have been silent and then catch up with its rate."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[\w.@ -]{1,64}")
_CLIENTS_MOST = 1000


@dataclass(frozen=True)
class Limits:
    """What one client may ask for.

    ``requests`` under way; ``frames`` and camera ``pixels``, over all frames, of a request;
    ``megabytes_per_s`` of requests, above which they wait.
    """

    requests: int
    frames: int
    pixels: int
    megabytes_per_s: float


@dataclass(eq=False)
class Client:
    """A client and what it does at the moment."""

    name: str
    limits: Limits
    under_way: int = 0
    questions: int = 0
    answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ANSWERS_MOST))
    _due_s: float = field(default=0.0, repr=False)

    def pause_s(self, size_bytes: int, now_s: float) -> float:
        """How long a request of this size has to wait for the client's rate."""
        took_s = size_bytes / (1e6 * self.limits.megabytes_per_s)
        self._due_s = max(self._due_s, now_s - BURST_S) + took_s
        return max(self._due_s - now_s, 0.0)


class Clients:
    """The clients that a gate admits.

    Parameters
    ----------
    known : iterable of tuple
        Token's SHA-256 or certificate's name, which of these, and client, for each.
    limits : Limits
        Those of clients that are in no list.
    open_to_all : bool
        Whether clients that are in no list are admitted, each by its certificate or address.
    """

    def __init__(
        self, known: Iterable[tuple[str, str, Client]], limits: Limits, *, open_to_all: bool
    ) -> None:
        self._known = {(kind, key): client for kind, key, client in known}
        self._limits, self._open = limits, open_to_all
        self._others: dict[str, Client] = {}
        self._file: Path | None = None
        self._stamp: object = None

    @classmethod
    def read(cls, path: Path | None, limits: Limits) -> Clients:
        """Read the file of clients; without one all are admitted.

        Parameters
        ----------
        path : Path, optional
            YAML: for each client's name a mapping with ``token_sha256`` or ``certificate``, and
            with those limits that differ.
        limits : Limits
            Those of clients that state none.

        Raises
        ------
        SettingError
            If the file cannot be read or has another form.
        """
        if path is None:
            return cls((), limits, open_to_all=True)
        stamp_before = stamp(path)
        clients = cls(_read(path, limits), limits, open_to_all=False)
        clients._file, clients._stamp = path, stamp_before
        return clients

    def read_again(self, tls: ServerTls | None) -> bool:
        """Read the file again if it has changed; return whether it had.

        A client that is still listed keeps its requests under way, and gets its new limits.

        Raises
        ------
        SettingError
            If the file cannot be used. The clients stay as they were, and the file is read again
            the next time.
        """
        if self._file is None or (stamp_now := stamp(self._file)) == self._stamp:
            return False
        renewed = {(kind, key): client for kind, key, client in _read(self._file, self._limits)}
        _check_recognisable({kind for kind, _ in renewed}, tls)
        former = {client.name: client for client in self._known.values()}
        for key, client in renewed.items():
            renewed[key] = former.get(client.name, client)
            renewed[key].limits = client.limits
        self._known, self._stamp = renewed, stamp_now
        return True

    def check_recognisable(self, tls: ServerTls | None) -> None:
        """Check that a gate with these certificates can recognise the listed clients.

        Raises
        ------
        SettingError
            If tokens would travel in clear, or no client is asked for a certificate.
        """
        _check_recognisable({kind for kind, _ in self._known}, tls)

    def find(
        self, token: str | None, certified_names: Iterable[str], address: str
    ) -> Client | None:
        """Find the client of a request; None for one that is not admitted.

        Parameters
        ----------
        token : str or None
            The token that came with it.
        certified_names : iterable of str
            The names in its certificate, which was verified.
        address : str
            Host that it came from, or network of it.
        """
        # What an attacker could learn from the time of a look-up is a hash, not a token.
        keys = [("token_sha256", hashlib.sha256(token.encode()).hexdigest())] if token else []
        names = [*certified_names]
        keys += [("certificate", name) for name in names]
        found = next((self._known[key] for key in keys if key in self._known), None)
        if found is not None or not self._open:
            return found
        name = names[0] if names and _NAME.fullmatch(names[0]) else ANONYMOUS
        return self._other(name, names[0] if names else address)

    def _other(self, name: str, key: str) -> Client:
        """A client that is in no list; those that do nothing are forgotten."""
        if len(self._others) > _CLIENTS_MOST:
            self._others = {
                key: each for key, each in self._others.items() if each.under_way or each.questions
            }
        return self._others.setdefault(key, Client(name, self._limits))


def _check_recognisable(kinds: set[str], tls: ServerTls | None) -> None:
    if kinds and tls is None:
        raise SettingError(
            "--clients is given without --tls-cert and --tls-key; expected them, since tokens "
            "would travel in clear"
        )
    if "certificate" in kinds and tls is not None and tls.ca is None:
        raise SettingError(
            "--clients names certificates; expected --tls-ca with the CA that they come from"
        )


def _read(path: Path, limits: Limits) -> Iterable[tuple[str, str, Client]]:
    example = f"expected clients as in docs/gate.md, at most {_CLIENTS_MOST}"
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"--clients {path} cannot be read: {error.strerror}") from error
    # PyYAML raises the others for dates that are none, and for what nests too deep.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingError(f"--clients {path} is no YAML; {example}") from error
    if not isinstance(listed, dict) or not 1 <= len(listed) <= _CLIENTS_MOST:
        raise SettingError(f"--clients {path} lists no clients; {example}")
    found: dict[tuple[str, str], Client] = {}
    for name, stated in listed.items():
        client, key = _client(path, name, stated, limits)
        if key in found:
            raise SettingError(
                f"--clients {path} has one {key[0]} for {found[key].name!r} and {name!r}; expected "
                "one for each"
            )
        found[key] = client
    return [(*key, client) for key, client in found.items()]


def _client(
    path: Path, name: object, stated: object, limits: Limits
) -> tuple[Client, tuple[str, str]]:
    where = f"--clients {path}, {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(stated, dict):
        raise SettingError(f"{where} is no name with a mapping; expected them as in docs/gate.md")
    known = [each.name for each in fields(Limits)]
    keys = {"token_sha256", "certificate"} & stated.keys()
    unknown = stated.keys() - {"token_sha256", "certificate", *known}
    if len(keys) != 1 or unknown:
        raise SettingError(
            f"{where} has {', '.join(map(str, stated)) or 'nothing'}; expected either token_sha256 "
            f"or certificate, and any of {', '.join(known)}"
        )
    (kind,) = keys
    value = str(stated[kind])
    if kind == "token_sha256" and not _SHA256.fullmatch(value):
        raise SettingError(f"{where} has no SHA-256 of a token; expected 64 digits from 0 to f")
    changed = {each: _number(where, each, stated) for each in known if each in stated}
    return Client(name, replace(limits, **changed)), (kind, value)


def _number(where: str, limit: str, stated: Mapping[Any, Any]) -> Any:
    value = stated[limit]
    kinds = (int, float) if limit == "megabytes_per_s" else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1e9:
        raise SettingError(f"{where} has {limit} {value!r}; expected a number above 0")
    return value
