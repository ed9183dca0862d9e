"""Reads and searches of one FHIR server, within a deadline: each brings its data, or a failure that has a name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any

import requests
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from cds.faults import whereabouts
from hooks.breaker import Breaker
from hooks.clients import FhirServer
from hooks.exchange import begin_fetch
from hooks.fetch_failures import Failure, outcome_of
from hooks.fhir_address import next_page
from hooks.fhir_connection import FhirSession, Line, RefusedAddressError
from hooks.fhir_pages import is_nested_too_deeply, merged, next_link, only_of_kind
from hooks.health import Health
from hooks.problems import MalformedError
from hooks.settings import Fetching
from hooks.wire import Json, decode

_log = logging.getLogger("lenalidomide_cds")
_PARALLEL = 128
_PIECE = 64 * 1024
_PAUSE = 0.05
_PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_OF_STATUS: Mapping[int, Failure] = {
    HTTPStatus.UNAUTHORIZED: Failure.LOGIN,
    HTTPStatus.FORBIDDEN: Failure.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Failure.NOT_FOUND,
    HTTPStatus.GONE: Failure.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Failure.THROTTLED,
}
# What speaks against the server, and not against one query or one token.
_AGAINST_SERVER = {Failure.TIMEOUT, Failure.UNREACHABLE, Failure.ERROR}


@dataclass(frozen=True)
class Query:
    """A read (``identifier`` given) or a search for resources of one kind; ``so_far`` is a first page that is there already."""

    url: str
    kind: str
    identifier: str | None = None
    so_far: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fetched:
    """The resource, or the Bundle of all pages that came; with a failure, None or a part."""

    resource: Mapping[str, Any] | None
    failure: Failure | None = None


class FhirClient:
    """One FHIR server: its connections, its threads, which no other server can use up, and its circuit breaker.

    A server that fails again and again is told to ``health`` as ``FHIR server <URL>``.
    """

    def __init__(self, server: FhirServer, limits: Fetching, health: Health, breaker: Breaker | None = None) -> None:
        self.server = server
        self._limits, self._health = limits, health
        self._breaker = breaker or Breaker()
        self._session = FhirSession(_PARALLEL, limits.ca_bundle)
        self._threads = ThreadPoolExecutor(_PARALLEL, "fhir")
        self._part = f"FHIR server {server.url}"

    def allows(self) -> bool:
        """Whether the server may be asked now. Who is allowed tells how it went by ``conclude``."""
        return self._breaker.allows()

    def ask(self, queries: Sequence[Query], token: str, deadline: float) -> list[Fetched]:
        """The outcomes in the order of the queries, all asked at once; at the deadline, of ``time.monotonic``, what has come."""
        if monotonic() >= deadline:
            return [Fetched(query.so_far, Failure.TIMEOUT) for query in queries]
        errands = [_Errand(query, self._session, token, Line(self.server, deadline), self._limits) for query in queries]
        # Each thread knows for which exchange it works.
        running = [self._threads.submit(copy_context().run, errand.run) for errand in errands]
        wait(running, timeout=deadline - monotonic())
        return [errand.outcome(future) for errand, future in zip(errands, running, strict=True)]

    def conclude(self, outcomes: Sequence[Fetched], *, had_time: bool) -> None:
        """Tell the breaker how one hook request's queries went: once, however many they were.

        Without ``had_time``, that there was no answer in time says nothing about the server.
        """
        failures = {one.failure for one in outcomes} - {Failure.ADDRESS_REFUSED}
        if failures - _AGAINST_SERVER:
            self._breaker.worked()
            self._health.works(self._part)
        elif failures and (had_time or failures != {Failure.TIMEOUT}):
            self._breaker.failed()
            if self._breaker.is_open:
                self._health.fails(self._part, "; ".join(sorted(one.words for one in failures if one is not None)))

    def close(self) -> None:
        """Close what is not in use; the threads end with the deadlines of their queries."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()


class _FetchError(Exception):
    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.words)
        self.failure = failure
        self.retry_after = retry_after


class _Errand:
    """One query, page by page, in a thread of its own."""

    def __init__(self, query: Query, session: FhirSession, token: str, line: Line, limits: Fetching) -> None:
        self._query, self._session, self._line, self._limits = query, session, line, limits
        self._fetch = begin_fetch(query.kind, line.server.url)
        self._headers = {"Authorization": f"Bearer {token}", **self._fetch.headers}
        self._bytes_left = limits.bytes
        self._pages = [] if query.so_far is None else [query.so_far]
        self._failure: Failure | None = None

    def run(self) -> None:
        """Fetch. Raises nothing: what goes wrong is in the outcome."""
        try:
            with self._line.in_use():
                self._follow(self._query.url)
        except _FetchError as error:
            self._failure = error.failure
        except Exception as error:  # noqa: BLE001 -- a fault costs this query only; its message might repeat the token
            _log.error("fetching failed: %s", whereabouts(error))
            self._failure = Failure.UNREADABLE
        finally:
            self._fetch.end(outcome_of(self._failure))

    def outcome(self, running: Future[None]) -> Fetched:
        """What has come; whoever is still running is stopped."""
        if running.done():
            failure = self._failure
        else:
            failure = Failure.TIMEOUT
            # Before the thread is woken, which would take the cut line for a failure of the server.
            self._fetch.end(outcome_of(failure))
            running.cancel()
            self._line.cut()
        pages = list(self._pages)
        return Fetched(merged(pages) if pages else None, failure)

    def _follow(self, url: str) -> None:
        seen = set[str]()
        while url not in seen:
            if len(self._pages) >= self._limits.pages:
                raise _FetchError(Failure.INCOMPLETE)
            seen.add(url)
            page = self._checked(self._document(url))
            self._pages.append(page)
            link = next_link(page)
            if link is None:
                return
            following = next_page(link, url, self._line.server)
            if following is None:
                raise _FetchError(Failure.FOREIGN_PAGE)
            url = following
        raise _FetchError(Failure.INCOMPLETE)

    def _checked(self, document: object) -> Json:
        """The resource of a read, or the page of a search without what was not asked for."""
        kind = document.get("resourceType") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(kind, str):
            raise _FetchError(Failure.UNREADABLE)
        if kind == "OperationOutcome":
            raise _FetchError(Failure.ERROR)
        if self._query.identifier is None:
            if kind != "Bundle" or not isinstance(document.get("entry", []), list):
                raise _FetchError(Failure.UNREADABLE)
            return only_of_kind(self._query.kind, document)
        if kind != self._query.kind or document.get("id") != self._query.identifier:
            raise _FetchError(Failure.OTHER_RESOURCE)
        return document

    def _document(self, url: str) -> object:
        """The JSON behind a URL; what may pass is tried once more, over a new connection.

        A server that ends one idle connection ends the others too, so the pool's next may be as dead as the first.
        """
        try:
            return self._document_at_once(url, self._session)
        except _FetchError as error:
            if error.retry_after is None or not self._line.pause(error.retry_after):
                raise
        with FhirSession(1, self._limits.ca_bundle) as session:
            return self._document_at_once(url, session)

    def _document_at_once(self, url: str, session: FhirSession) -> object:
        with self._response(url, session) as response:
            _check_status(response)
            body = self._body(response)
        if self._line.left <= 0:
            raise _FetchError(Failure.TIMEOUT)
        try:
            document = decode(body.decode())
        except (MalformedError, UnicodeDecodeError):
            raise _FetchError(Failure.UNREADABLE) from None
        if is_nested_too_deeply(body):
            raise _FetchError(Failure.UNREADABLE)
        return document

    def _response(self, url: str, session: FhirSession) -> requests.Response:
        timeout = self._line.left
        if timeout <= 0:
            raise _FetchError(Failure.TIMEOUT)
        try:
            return session.get(url, headers=self._headers, timeout=timeout, stream=True, allow_redirects=False)
        except RefusedAddressError:
            raise _FetchError(Failure.ADDRESS_REFUSED) from None
        except requests.Timeout:
            raise _FetchError(Failure.TIMEOUT) from None
        except requests.exceptions.SSLError:
            raise _FetchError(Failure.UNREACHABLE) from None
        except requests.ConnectionError:
            # Also a pooled connection that the server closed meanwhile. A GET may be sent again.
            raise _FetchError(Failure.UNREACHABLE, retry_after=0) from None
        except (requests.RequestException, HTTPError):
            raise _FetchError(Failure.UNREADABLE) from None

    def _body(self, response: requests.Response) -> bytes:
        """Unpacked bytes as they come: neither a packed bomb nor a trickle is waited for."""
        body = bytearray()
        try:
            while piece := response.raw.read1(_PIECE, decode_content=True):
                body += piece
                if len(body) > self._bytes_left:
                    raise _FetchError(Failure.TOO_LARGE)
                if self._line.left <= 0:
                    raise _FetchError(Failure.TIMEOUT)
        except ReadTimeoutError:
            raise _FetchError(Failure.TIMEOUT) from None
        except DecodeError:
            raise _FetchError(Failure.UNREADABLE) from None
        except HTTPError:
            raise _FetchError(Failure.INCOMPLETE) from None
        self._bytes_left -= len(body)
        return bytes(body)


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    if status < HTTPStatus.MULTIPLE_CHOICES:
        raise _FetchError(Failure.UNREADABLE)
    if status < HTTPStatus.BAD_REQUEST:
        raise _FetchError(Failure.REDIRECTED)
    plain = Failure.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Failure.QUERY_REFUSED
    raise _FetchError(_OF_STATUS.get(status, plain), _retry_after(response))


def _retry_after(response: requests.Response) -> float | None:
    """Seconds after which what was refused may be had; None where a second try is no use or nothing tells when."""
    if response.status_code not in _PASSING:
        return None
    named = response.headers.get("Retry-After")
    if named is None:
        return _PAUSE
    return float(named) if named.isascii() and named.isdecimal() else None
