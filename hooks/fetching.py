"""What prefetch lacks is read from the client's FHIR server, and put into the request as if prefetch had brought it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from time import monotonic
from typing import Any

from cds.faults import whereabouts
from cds.terminology import Terminology
from hooks.clients import Client, FhirServer
from hooks.fetch_failures import Failure, outcome_of
from hooks.fhir_access import Access, access_of
from hooks.fhir_address import configured_server, id_in_url, medication_url, next_page
from hooks.fhir_client import Fetched, FhirClient, Query
from hooks.fhir_connection import tls_context
from hooks.fhir_pages import ANY_KIND, broken_off, next_link
from hooks.health import Counted, Health, one_line
from hooks.lacking import Lack, decisive, everything, referenced, search_of
from hooks.prefetch import KIND_OF_KEY, REFERENCED, superseded_keys
from hooks.problems import Problem
from hooks.request_resources import read_resources
from hooks.settings import Fetching
from hooks.wire import SERVICES, HookRequest, Json, read_request

_log = logging.getLogger("lenalidomide_cds")
_STAGES = (decisive, everything, referenced)
_MOST_MEDICATIONS = 100
_OUR_KEYS = {*KIND_OF_KEY, REFERENCED}
_HOST = re.compile(r"https?://(?:[^/?#]*@)?([^/?#]+)", re.IGNORECASE)
_ALARMING = {Failure.ADDRESS_REFUSED, Failure.FOREIGN_PAGE}


class Fetcher:
    """Completes requests; one worker has one, with a client for each FHIR server that is used.

    Raises OSError for a ``ca_bundle`` that cannot be read. Without a budget nothing is fetched.
    """

    def __init__(self, limits: Fetching, health: Health) -> None:
        tls_context(limits.ca_bundle)
        self._limits, self._health = limits, health
        self._lock = Lock()
        self._clients: dict[FhirServer, FhirClient] = {}

    def complete(self, request: Mapping[str, Any], client: Client, now: datetime, deadline: float) -> Mapping[str, Any]:
        """The request with a completed ``prefetch``, in prefetch's own shapes, and without ``fhirAuthorization``.

        ``deadline`` is an instant of ``time.monotonic``; it is not waited beyond. Never raises: a request that cannot be read
        comes back for ``answer`` to refuse.
        """
        bare = {key: value for key, value in request.items() if key != "fhirAuthorization"}
        access = access_of(request.get("fhirAuthorization"))
        if access is None or not request.get("fhirServer") or not self._limits.budget:
            return bare
        try:
            called = read_request(bare)
            completed = self._completed(called, client, now, access, deadline)
        except Problem:
            return bare
        except Exception as error:  # noqa: BLE001 -- there is an answer without the fetched data; the message may hold some
            _log.error("completing a request failed: %s", whereabouts(error))
            return bare
        return bare if completed is called.prefetch else {**bare, "prefetch": completed}

    def close(self) -> None:
        """Close the connections; nothing can be fetched any more."""
        with self._lock:
            for client in self._clients.values():
                client.close()

    def _completed(
        self, called: HookRequest, client: Client, now: datetime, access: Access, deadline: float
    ) -> Mapping[str, Any]:
        """The prefetch, changed only where something was lacking and lenalidomide is in play."""
        if called.hook not in SERVICES.values():
            return called.prefetch
        resources = read_resources(called, client, now)
        visit = _Visit(called, self._client(called, client), access, deadline)
        for stage in _STAGES:
            brought = visit.bring(stage(called, resources), resources.reading.terminology)
            if brought:
                called = replace(called, prefetch={**called.prefetch, **brought})
                resources = read_resources(called, client, now)
        if visit.outcomes:
            visit.end(self._health, self._limits.budget)
        superseded = superseded_keys(called.prefetch, resources.supplied) if visit.outcomes else set()
        if not superseded:
            return called.prefetch
        return {key: value for key, value in called.prefetch.items() if key not in superseded}

    def _client(self, called: HookRequest, client: Client) -> FhirClient | None:
        server = configured_server(called.fhir_server or "", client.fhir_servers)
        if server is None:
            return None
        with self._lock:
            if server not in self._clients:
                self._clients[server] = FhirClient(server, self._limits, self._health)
            return self._clients[server]


class _Visit:
    """What one request asks of one server; None is a server that is not one of the client's, and is not asked."""

    def __init__(self, called: HookRequest, asked: FhirClient | None, access: Access, deadline: float) -> None:
        self._called, self._asked, self._access, self._deadline = called, asked, access, deadline
        self._time = deadline - monotonic()
        self._may_ask: bool | None = None
        self._brought: set[tuple[str, str]] = set()
        self._medications: list[Json] = []
        self._answers: list[Fetched] = []
        self._referenced = _free_key(called.prefetch)
        self.outcomes: list[tuple[str, Failure | None]] = []

    def bring(self, lacks: Iterable[Lack], terminology: Terminology) -> Json:
        """New values of prefetch keys. What was brought before, or failed before, is not asked for again."""
        wanted = [(lack, self._query(lack, terminology)) for lack in lacks if self._is_new(lack)]
        queries = [(lack, query) for lack, query in wanted if isinstance(query, Query)]
        answered = self._ask([query for _, query in queries])
        fetched = [(lack, Fetched(lack.page, failure)) for lack, failure in wanted if isinstance(failure, Failure)]
        fetched += [(lack, answer) for (lack, _), answer in zip(queries, answered, strict=True)]
        self.outcomes += [(lack.key, answer.failure) for lack, answer in fetched]
        self._medications += [{"resource": _value(answer)} for lack, answer in fetched if lack.reference]
        values = {lack.key: _value(answer) for lack, answer in fetched if not lack.reference}
        if any(lack.reference for lack, _ in fetched):
            values[self._referenced] = {"resourceType": "Bundle", "type": "collection", "entry": self._medications}
        return values

    def end(self, health: Health, budget: float) -> None:
        """Tell how it went: the breaker, the counts, and one line of the log."""
        if self._asked is not None and self._may_ask:
            self._asked.conclude(self._answers, had_time=self._time >= budget / 2)
        failed: dict[Failure, set[str]] = {}
        for key, failure in self.outcomes:
            health.count(Counted.FHIR_FETCHES, outcome_of(failure))
            if failure is not None:
                # A record system may have named its own keys after anything.
                failed.setdefault(failure, set()).add(key if key in _OUR_KEYS else "a key of its own")
        if failed:
            told = "; ".join(f"{', '.join(sorted(keys))}: {failure.words}" for failure, keys in failed.items())
            level = logging.ERROR if _ALARMING & failed.keys() else logging.WARNING
            _log.log(level, "not fetched from %s: %s", self._name, told)

    @property
    def _name(self) -> str:
        """The server, as a log may name it: of one that is not configured the host alone, without a password or a path."""
        if self._asked is not None:
            return self._asked.server.url
        named = _HOST.match(self._called.fhir_server or "")
        return one_line(named[1]) if named else "a server without a name"

    def _is_new(self, lack: Lack) -> bool:
        name = lack.key, lack.reference
        limited = lack.reference and sum(bool(reference) for _, reference in self._brought) >= _MOST_MEDICATIONS
        if name in self._brought or limited:
            return False
        self._brought.add(name)
        return True

    def _query(self, lack: Lack, terminology: Terminology) -> Query | Failure | None:
        """How to ask, or why not; None for what is left as it is, since this server does not have it."""
        if self._asked is None:
            return None if lack.reference else Failure.NOT_CONFIGURED
        if self._access.patient not in {None, self._called.patient_id}:
            return Failure.OTHER_PATIENT
        query = self._query_to(self._asked.server, lack, terminology)
        is_known = isinstance(query, Query) and query.kind != ANY_KIND
        if (
            isinstance(query, Query)
            and is_known
            and not self._access.covers(query.kind, search=query.identifier is None)
        ):
            return Failure.NOT_GRANTED
        return query

    def _query_to(self, server: FhirServer, lack: Lack, terminology: Terminology) -> Query | Failure | None:
        if lack.reference:
            url = medication_url(lack.reference, server)
            return None if url is None else Query(url, lack.kind, url.rpartition("/")[2])
        if lack.page is not None:
            url = next_page(next_link(lack.page), f"{server.url}/", server)
            return Failure.FOREIGN_PAGE if url is None else Query(url, lack.kind, so_far=lack.page)
        patient = id_in_url(self._called.patient_id)
        if patient is None:
            return Failure.UNUSABLE_ID
        url = f"{server.url}/{search_of(lack.key, patient, terminology)}"
        return Query(url, lack.kind, self._called.patient_id if lack.key == "patient" else None)

    def _ask(self, queries: Sequence[Query]) -> list[Fetched]:
        if not queries or self._asked is None:
            return []
        if self._may_ask is None:
            self._may_ask = self._asked.allows()
        if not self._may_ask:
            return [Fetched(query.so_far, Failure.NOT_ASKED) for query in queries]
        answers = self._asked.ask(queries, self._access.token, self._deadline)
        self._answers += answers
        return answers


def _value(fetched: Fetched) -> Mapping[str, Any]:
    """What prefetch would hold: the resource, a Bundle that says why it is not whole, or an OperationOutcome."""
    if fetched.failure is None and fetched.resource is not None:
        return fetched.resource
    failure = fetched.failure or Failure.UNREADABLE
    return failure.outcome if fetched.resource is None else broken_off(fetched.resource, failure)


def _free_key(prefetch: Mapping[str, Any]) -> str:
    key = REFERENCED
    while key in prefetch:
        key += "-"
    return key
