"""Clients' key sets: from their key servers and from files, kept as long as nothing better is to be had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import inf
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from jwt import PyJWK
from requests import Response, Session
from urllib3.exceptions import HTTPError

from hooks.clients import Identity
from hooks.health import Health, one_line
from hooks.json_web_keys import Keys, UnusableSetError, usable_keys

_OK = 200
_PIECE = 64 * 1024


class UnknownKeyError(LookupError):
    """No set that the client may use holds such a key."""


@dataclass(frozen=True)
class Limits:
    """Of reading key sets, in seconds and bytes.

    ``patience`` bounds the connection, each wait for data, the whole body, and how long a request waits for all of it. A set
    older than ``fresh`` is read again; for a key it lacks, no sooner than ``pause`` after the last read, or ``retry`` where
    nothing could be read yet.
    """

    patience: float = 2.0
    size: int = 1024 * 1024
    fresh: float = 600.0
    pause: float = 30.0
    retry: float = 5.0


class KeySets:
    """The public keys of all clients. What fails is told to ``health`` as ``key set <URL or file>``; last good keys stay."""

    def __init__(
        self,
        health: Health,
        ca_bundle: str | None = None,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._health, self._ca_bundle = health, ca_bundle
        self._limits, self._clock = limits or Limits(), clock
        self._lock = Lock()
        self._served: dict[str, _ServedSet] = {}
        self._files: dict[Path, _FileSet] = {}

    def key(self, identity: Identity, jku: str | None, kid: str) -> PyJWK:
        """The key and the one algorithm it may be used with. ``UnknownKeyError`` where the client has none such.

        A ``jku`` must be exactly one of the identity's; without it, all that was agreed with the client counts.
        """
        if jku is not None and jku not in identity.key_sets:
            raise UnknownKeyError("jku is not one of the client's")
        served = [self._served_set(url) for url in (identity.key_sets if jku is None else (jku,))]
        files = [self._file_set(identity.key_file)] if jku is None and identity.key_file else []
        found = _first(kid, chain((file.keys() for file in files), (one.keys() for one in served)))
        return self._sought(kid, served) if found is None else found

    def warm(self, identities: Iterable[Identity]) -> None:
        """Start to load what the first requests will need, without waiting for key servers."""
        for identity in identities:
            if identity.key_file:
                self._file_set(identity.key_file).keys()
            for url in identity.key_sets:
                self._served_set(url).read_again()

    def _sought(self, kid: str, served: Sequence[_ServedSet]) -> PyJWK:
        """A key that is not known yet: perhaps the client has changed its keys."""
        for one in served:
            one.read_again()
        for one in served:
            one.wait()
        found = _first(kid, (one.keys() for one in served))
        if found is None:
            unread = [one.name for one in served if not one.keys()]
            raise UnknownKeyError(
                "no key has this kid" + "".join(f"; no key could be read from {name}" for name in unread)
            )
        return found

    def _served_set(self, url: str) -> _ServedSet:
        with self._lock:
            if url not in self._served:
                self._served[url] = _ServedSet(url, self._ca_bundle, self._health, self._limits, self._clock)
            return self._served[url]

    def _file_set(self, file: Path) -> _FileSet:
        with self._lock:
            return self._files.setdefault(file, _FileSet(file, self._health, self._limits.size))


def _first(kid: str, sets: Iterable[Keys]) -> PyJWK | None:
    return next((keys[kid] for keys in sets if kid in keys), None)


class _ServedSet:
    """The set behind one URL. It is read by one thread at a time, beside the requests: who knows its key never waits."""

    def __init__(
        self, url: str, ca_bundle: str | None, health: Health, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._url, self._ca_bundle, self._health = url, ca_bundle, health
        self._limits, self._clock = limits, clock
        self._part = f"key set {url}"
        self._lock = Lock()
        self._keys: Keys = {}
        self._stale_at = 0.0
        self._started = -inf
        self._flight: Thread | None = None

    @property
    def name(self) -> str:
        return self._url

    def keys(self) -> Keys:
        """The keys as last read; when that is long ago, they are read again meanwhile, and very long ago, before."""
        if self._keys and self._clock() >= self._stale_at:
            self.read_again()
            if self._clock() >= self._stale_at + self._limits.fresh:
                self.wait()
        return self._keys

    def read_again(self) -> None:
        """Start to read the set, if it is time to and nobody is reading it."""
        with self._lock:
            now = self._clock()
            if now < self._started + (self._limits.pause if self._keys else self._limits.retry):
                return
            if self._flight is not None and self._flight.is_alive():
                self._health.fails(self._part, "the key server does not come to the end of its answer")
                return
            self._started = now
            flight = Thread(target=self._read, name=self._part, daemon=True)
            flight.start()
            self._flight = flight

    def wait(self) -> None:
        """Wait for what is being read, but not for a key server that takes too long."""
        with self._lock:
            flight, patience = self._flight, self._started + self._limits.patience - self._clock()
        if flight is not None:
            flight.join(max(0.0, patience))

    def _read(self) -> None:
        try:
            self._keys = usable_keys(_fetched(self._url, self._ca_bundle, self._limits))
        # OSError: the errors of requests are among them, and a bundle of certificates that is not there.
        except (OSError, HTTPError, UnusableSetError) as error:
            self._health.fails(self._part, one_line(error, longest=400))
        else:
            self._stale_at = self._clock() + self._limits.fresh
            self._health.works(self._part)


class _FileSet:
    """The set in one file, read again when the file has changed."""

    def __init__(self, file: Path, health: Health, size: int) -> None:
        self._file, self._health, self._size = file, health, size
        self._part = f"key set {file}"
        self._keys: Keys = {}
        self._version: tuple[int, ...] | None = None

    def keys(self) -> Keys:
        """The keys as last read; a version that cannot be used leaves them as they were."""
        version = None
        try:
            version = self._version_now()
            if version != self._version:
                self._keys = usable_keys(self._document())
                self._health.works(self._part)
        except (OSError, UnusableSetError) as error:
            self._health.fails(self._part, one_line(error, longest=400))
        self._version = version
        return self._keys

    def _version_now(self) -> tuple[int, ...]:
        status = self._file.stat()
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def _document(self) -> bytes:
        with self._file.open("rb") as opened:
            document = opened.read(self._size + 1)
        if len(document) > self._size:
            raise UnusableSetError(f"it is larger than {self._size} bytes")
        return document


def _fetched(url: str, ca_bundle: str | None, limits: Limits) -> bytes:
    """The document behind a URL: no proxy or credentials from the environment, no redirects, nothing but a 200."""
    deadline = monotonic() + limits.patience
    with Session() as session:
        session.trust_env = False
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        with session.get(
            url, headers=headers, verify=ca_bundle or True, timeout=limits.patience, allow_redirects=False, stream=True
        ) as response:
            if response.status_code != _OK:
                raise UnusableSetError(f"the key server answers {response.status_code}")
            return _body(response, deadline, limits.size)


def _body(response: Response, deadline: float, size: int) -> bytes:
    """Read piece by piece as they come, so that a server that trickles its answer cannot hold on."""
    body = b""
    while piece := response.raw.read1(_PIECE, decode_content=True):
        body += piece
        if len(body) > size:
            raise UnusableSetError(f"it is larger than {size} bytes")
        if monotonic() > deadline:
            raise UnusableSetError("the key server takes too long")
    return body
