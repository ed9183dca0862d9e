"""Connections to FHIR servers: checked before anything is sent, and shut from outside when the time is over."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from threading import Event, Lock
from time import monotonic
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from hooks.clients import FhirServer
from hooks.fhir_address import may_be_called

# urllib3 names whole URLs in its messages, and these hold the patient's id.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class RefusedAddressError(Exception):
    """The server's name led to an address that may not be called."""


class Line:
    """The way to a server for one query until its deadline (of ``time.monotonic``); ``cut`` ends it from another thread."""

    def __init__(self, server: FhirServer, deadline: float) -> None:
        self.server = server
        self._deadline = deadline
        self._lock = Lock()
        self._is_cut = Event()
        # A second handle on the socket in use, and so valid whatever becomes of the first: closed, or wrapped into TLS.
        self._socket: socket.socket | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; none when it was cut."""
        return 0.0 if self._is_cut.is_set() else self._deadline - monotonic()

    def pause(self, seconds: float) -> bool:
        """Wait; False without waiting where the time does not suffice."""
        return seconds < self.left and not self._is_cut.wait(seconds)

    def cut(self) -> None:
        """Wake whoever waits for the server: even one that sends a byte now and then."""
        self._is_cut.set()
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Connections that this thread opens or takes from the pool meanwhile are this line's."""
        before = _LINE.set(self)
        try:
            yield
        finally:
            _LINE.reset(before)
            self._replace(None)

    def begins_with(self, connected: socket.socket) -> None:
        """Take a new connection, if it leads where it may. Raises RefusedAddressError."""
        if not may_be_called(connected.getpeername()[0], self.server):
            raise RefusedAddressError
        self.runs_over(connected)

    def runs_over(self, connected: socket.socket) -> None:
        """Tell which socket is used now."""
        self._replace(socket.fromfd(connected.fileno(), connected.family, connected.type))
        if self._is_cut.is_set():
            self.cut()

    def _replace(self, handle: socket.socket | None) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = handle


_LINE: ContextVar[Line] = ContextVar("_LINE")


class FhirSession(requests.Session):
    """A pool of connections without proxies, credentials, cookies and redirects: what is sent depends on the caller alone."""

    def __init__(self, connections: int, ca_bundle: str | None) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.headers.update(
            {"Accept": "application/fhir+json", "Accept-Encoding": "gzip", "User-Agent": "lenalidomide-cds"}
        )
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(connections, tls_context(ca_bundle)))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would read the whole body of a redirect even where it does not follow it."""


@cache
def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Certificates are read once, not for each connection. Raises OSError for a bundle that cannot be read."""
    return ssl.create_default_context(cafile=ca_bundle or DEFAULT_CA_BUNDLE_PATH)


class _CheckedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Before TLS and before the request: not even the server's name is told to a wrong address."""
        connected = super()._new_conn()
        try:
            _LINE.get().begins_with(connected)
        except BaseException:
            connected.close()
            raise
        return connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            _LINE.get().runs_over(self.sock)
        super().request(*args, **kwargs)


class _CheckedTlsConnection(_CheckedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _CheckedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTlsConnection


class _Adapter(HTTPAdapter):
    def __init__(self, connections: int, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """The context holds the certificates; requests would load them anew for each connection."""
        conn.cert_reqs = "CERT_REQUIRED"
