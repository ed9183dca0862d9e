"""One FHIR server as a whole: connections that are kept, threads of its own, TLS, and a breaker that spares it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import monotonic, sleep

import pytest
import responses

from hooks.breaker import Breaker
from hooks.clients import FhirServer
from hooks.fetch_failures import Failure
from hooks.fetching import Fetcher
from hooks.fhir_client import Fetched, FhirClient, Query
from hooks.health import Health
from hooks.settings import Fetching
from tests.support.fetching import AMPLE, TOKEN, Hospital, failures, now_of
from tests.support.fhir_server import FhirServerProcess, Json

CONDITIONS = "Condition?patient=Patient/pt-edda-marsh"
EHR = FhirServer("https://ehr.example/fhir")


@contextmanager
def client_of(server: FhirServer, breaker: Breaker | None = None, health: Health | None = None) -> Iterator[FhirClient]:
    with closing(FhirClient(server, Fetching(budget=AMPLE), health or Health(), breaker)) as client:
        yield client


def ask(client: FhirClient, *paths: str, seconds: float = AMPLE) -> list[Fetched]:
    queries = [Query(f"{client.server.url}/{path}", "Condition") for path in paths]
    return client.ask(queries, TOKEN, monotonic() + seconds)


def test_outcomes_come_in_the_order_of_the_queries(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "status=403", target="nobody")
    with client_of(hospital.server) as client:
        whole, refused = ask(client, CONDITIONS, "Condition?patient=Patient/nobody")
    assert (whole.failure, refused.failure) == (None, Failure.FORBIDDEN)


def test_connections_are_kept_from_request_to_request(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server)
    with client_of(hospital.server) as client:
        for _ in range(5):
            ask(client, CONDITIONS)
    assert fhir_server.connections(hospital.name) == 1


def test_cookies_are_not_kept(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "cookie")
    with client_of(hospital.server) as client:
        for _ in range(2):
            ask(client, CONDITIONS)
    assert [one["cookie"] for one in fhir_server.requests(hospital.name)] == [None, None]


@pytest.mark.parametrize("behaviour", ["drip-status", "drip-headers", "drip-body"])
def test_a_server_that_drips_holds_no_connection_beyond_the_deadline(
    fhir_server: FhirServerProcess, behaviour: str
) -> None:
    hospital = Hospital(fhir_server, behaviour)
    with client_of(hospital.server) as client:
        (late,) = ask(client, CONDITIONS, seconds=0.6)
        # The server goes on until it is released, which it is not, or until we hang up.
        assert any("/gone/" in one["path"] for one in eventually(fhir_server, hospital.name, 2))
    assert late.failure is Failure.TIMEOUT


def eventually(process: FhirServerProcess, name: str, count: int) -> list[Json]:
    """What the server remembers, once it is so much."""
    for _ in range(500):
        found = process.requests(name)
        if len(found) >= count:
            return found
        sleep(0.02)
    return []


def test_more_queries_than_threads_are_given_up_at_the_deadline(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "silent")
    with client_of(hospital.server) as client:
        outcomes = ask(client, *[f"{CONDITIONS}&n={n}" for n in range(100)], seconds=0.5)
        assert [one.failure for one in outcomes] == [Failure.TIMEOUT] * 100
        fhir_server.release(hospital.name)


def test_a_server_that_hangs_does_not_keep_another_from_being_asked(fhir_server: FhirServerProcess) -> None:
    sick, well = Hospital(fhir_server, "silent"), Hospital(fhir_server)
    with closing(Fetcher(sick.limits, Health())) as fetcher, ThreadPoolExecutor(4) as others:
        request = sick.request()
        now = now_of(request)
        waiting = [others.submit(fetcher.complete, request, sick.client, now, monotonic() + AMPLE) for _ in range(4)]
        completed = dict(fetcher.complete(well.request(), well.client, now, monotonic() + AMPLE))
        assert failures(completed) == {}
        assert not any(one.done() for one in waiting)
        fhir_server.release(sick.name)


# --- TLS ---


def tls(process: FhirServerProcess, host: str = "127.0.0.1") -> FhirServer:
    return FhirServer(f"https://{host}:{process.tls}/well@/tls", private=True)


def over_tls(server: FhirServer, ca_bundle: str | None) -> Fetched:
    with closing(FhirClient(server, Fetching(ca_bundle=ca_bundle), Health())) as client:
        (outcome,) = ask(client, CONDITIONS)
    return outcome


def test_a_certificate_of_the_configured_authority_is_trusted(fhir_server: FhirServerProcess) -> None:
    assert over_tls(tls(fhir_server), fhir_server.ca_bundle).failure is None


def test_a_certificate_of_an_unknown_authority_is_not(fhir_server: FhirServerProcess) -> None:
    assert over_tls(tls(fhir_server), None).failure is Failure.UNREACHABLE


def test_a_certificate_for_another_name_is_not(fhir_server: FhirServerProcess) -> None:
    assert over_tls(tls(fhir_server, "localhost"), fhir_server.ca_bundle).failure is Failure.UNREACHABLE


def test_an_address_is_refused_before_tls(fhir_server: FhirServerProcess) -> None:
    server = FhirServer(f"https://localhost:{fhir_server.tls}/well@/tls")
    assert over_tls(server, None).failure is Failure.ADDRESS_REFUSED


def test_a_bundle_of_certificates_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(OSError, match="No such file"):
        Fetcher(Fetching(ca_bundle="/nowhere/ca.pem"), Health())


# --- The breaker ---


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


TIMEOUTS = [Fetched(None, Failure.TIMEOUT)] * 12
PART = "FHIR server https://ehr.example/fhir"


def test_many_queries_of_one_request_that_are_cut_off_count_once() -> None:
    health = Health()
    with client_of(EHR, Breaker(failures=2), health) as client:
        client.conclude(TIMEOUTS, had_time=True)
        assert client.allows()
        client.conclude(TIMEOUTS, had_time=True)
        assert not client.allows()
    assert health.degraded == {PART: "no answer in time"}


def test_that_no_time_was_left_says_nothing_about_the_server() -> None:
    with client_of(EHR, Breaker(failures=1)) as client:
        client.conclude(TIMEOUTS, had_time=False)
        assert client.allows()


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.UNREACHABLE, Failure.ERROR])
def test_what_speaks_against_the_server_opens_the_breaker(failure: Failure) -> None:
    with client_of(EHR, Breaker(failures=1)) as client:
        client.conclude([Fetched(None, failure)], had_time=True)
        assert not client.allows()


@pytest.mark.parametrize("failure", [None, Failure.LOGIN, Failure.FORBIDDEN, Failure.NOT_FOUND, Failure.UNREADABLE])
def test_a_server_that_answers_at_all_closes_it_again(failure: Failure | None) -> None:
    clock, health = Clock(), Health()
    with client_of(EHR, Breaker(failures=1, pause=10, clock=clock), health) as client:
        client.conclude(TIMEOUTS, had_time=True)
        clock.now = 11
        assert client.allows()
        client.conclude([Fetched(None, failure), *TIMEOUTS], had_time=True)
        assert client.allows()
    assert health.degraded == {}


def test_a_server_that_failed_repeatedly_is_not_asked_and_the_card_says_so(fhir_server: FhirServerProcess) -> None:
    hospital = Hospital(fhir_server, "hang-up")
    request = hospital.request()
    with closing(Fetcher(hospital.limits, hospital.health)) as fetcher:
        for _ in range(5):
            fetcher.complete(request, hospital.client, now_of(request), monotonic() + AMPLE)
        asked = len(hospital.asked)
        completed = dict(fetcher.complete(request, hospital.client, now_of(request), monotonic() + AMPLE))
    assert len(hospital.asked) == asked
    assert "not asked: the FHIR server failed repeatedly" in str(completed["prefetch"]["counts"])
    assert list(hospital.health.degraded) == [f"FHIR server {hospital.base}"]


# --- Answers that no server of ours gives ---


@responses.activate
def test_a_search_counts_only_matches_of_what_was_asked_for() -> None:
    mine = {"resource": {"resourceType": "Condition", "id": "c"}}
    beside = {"resource": {"resourceType": "Medication", "id": "m"}, "search": {"mode": "include"}}
    stray = {"resource": {"resourceType": "Observation", "id": "o"}}
    bundle = {"resourceType": "Bundle", "entry": [mine, beside, stray, {"fullUrl": "x"}]}
    responses.get(f"{EHR.url}/{CONDITIONS}", json=bundle)
    with client_of(EHR) as client:
        (outcome,) = ask(client, CONDITIONS)
    assert outcome.resource is not None
    entries = outcome.resource["entry"]
    assert entries[:3] == [mine, beside, {"fullUrl": "x"}]
    assert [entry["resource"]["resourceType"] for entry in entries[3:]] == ["OperationOutcome"]


@responses.activate
@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '"x"', '{"resourceType": 7}', '{"resourceType":"Bundle","entry":{}}', b"\xff\xfe{}"],
)
def test_what_is_no_search_result_could_not_be_read(body: str | bytes) -> None:
    responses.get(f"{EHR.url}/{CONDITIONS}", body=body)
    with client_of(EHR) as client:
        (outcome,) = ask(client, CONDITIONS)
    assert outcome == Fetched(None, Failure.UNREADABLE)


@responses.activate
@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2037 07:28:00 GMT", "-1", "²"])
def test_a_server_that_asks_to_wait_longer_than_there_is_time_is_not_asked_again(after: str) -> None:
    responses.get(f"{EHR.url}/{CONDITIONS}", status=503, headers={"Retry-After": after})
    with client_of(EHR) as client:
        (outcome,) = ask(client, CONDITIONS)
    assert outcome.failure is Failure.ERROR
    assert len(responses.calls) == 1
