"""What a stub of a record system tells: pages of a Bundle with several kinds, scopes, and whose token it is."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
import responses

from hooks.clients import Client, FhirServer
from hooks.fetching import Fetcher
from hooks.health import Health
from hooks.settings import Fetching
from hooks.wire import encode
from tests.support.fetching import AMPLE, AUTHORIZATION, Json, bundled, now_of, summaries

BASE = "https://ehr.example/fhir"
BELOW = re.compile(re.escape(BASE) + "/.*")
THROMBOSIS = "order-sign-untreated-thrombosis"


def completed(request: Json) -> Json:
    fetcher = Fetcher(Fetching(budget=AMPLE), Health())
    client = Client(fhir_servers=(FhirServer(BASE, private=True),))
    try:
        return dict(fetcher.complete(request, client, now_of(request), monotonic() + AMPLE))
    finally:
        fetcher.close()


def with_access(request: Json, **authorization: Any) -> Json:
    return {**request, "fhirServer": BASE, "fhirAuthorization": {**AUTHORIZATION, **authorization}}


def entries(request: Json, *keys: str) -> list[Json]:
    return [entry for key in keys for entry in request["prefetch"][key].get("entry", [])]


@responses.activate
def test_a_page_that_follows_a_bundle_of_several_kinds_is_used_whole() -> None:
    request = bundled(THROMBOSIS)
    everything = [key for key in request["prefetch"] if key not in {"patient", "conditions"}]
    first = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": f"{BASE}?page=2"}],
        "entry": [*entries(request, *everything), {"resource": request["prefetch"]["patient"]}],
    }
    second = {"resourceType": "Bundle", "type": "searchset", "entry": entries(request, "conditions")}
    responses.get(f"{BASE}?page=2", body=encode(second))
    responses.get(url=BELOW, body=encode({"resourceType": "Bundle", "type": "searchset", "total": 0}))

    answered = completed(with_access({**request, "prefetch": {"everything": first}}))

    assert summaries(answered) == summaries(request)
    assert "venous thromboembolism" in summaries(answered)[0]


@pytest.mark.parametrize(
    ("scope", "kinds"),
    [
        ("user/Condition.read user/Procedure.read", {"Condition", "Procedure"}),
        ("launch openid user/Condition.rs", {"Condition"}),
        ("user/Condition.read Observation.Search (Labs)", {"Condition", "Procedure"}),
        ("", {"Condition", "Procedure"}),
    ],
)
@responses.activate
def test_only_scopes_that_are_all_of_smart_keep_from_asking(scope: str, kinds: set[str]) -> None:
    request = bundled(THROMBOSIS)
    for key in ("conditions", "procedures"):
        del request["prefetch"][key]
    responses.get(url=BELOW, body=encode({"resourceType": "Bundle", "type": "searchset", "total": 0}))

    completed(with_access(request, scope=scope))

    assert {urlsplit(str(call.request.url)).path.rpartition("/")[2] for call in responses.calls} == kinds


@responses.activate
def test_a_token_for_another_patient_reads_nothing() -> None:
    request = bundled(THROMBOSIS)
    del request["prefetch"]["conditions"]

    answered = completed(with_access(request, patient="somebody-else"))

    assert len(responses.calls) == 0
    words = answered["prefetch"]["conditions"]["issue"][0]["details"]["text"]
    assert words == "the access token is for another patient"
