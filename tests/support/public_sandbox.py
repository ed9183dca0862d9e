"""The public CDS Hooks Sandbox as a client: a page in a browser, its prefetch, its forms, and what it draws.

How it behaves was read in github.com/cds-hooks/sandbox in March 2026.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode
from uuid import uuid4

from markdown_it import MarkdownIt
from werkzeug.test import Client, TestResponse

from hooks.app import create_app
from hooks.settings import Settings
from tests.support.drafts import capsule
from tests.support.fhir import RXNORM, UCUM
from tests.support.fixtures import Json, load, service_of
from tests.support.tokens import elliptic

ORIGIN = "https://sandbox.cds-hooks.org"
SERVED = "http://localhost:8080"  # an https page may call its own machine over http
DISCOVERY = "/cds-services"
NOW = "org.lenalidomide-maintenance.now"
_PATIENT = "{{context.patientId}}"
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
SIGNER = elliptic("sandbox-1")
_GRAVITY = {"info": 0, "warning": 1, "critical": 2}


def own_token(path: str, **changes: Any) -> str:
    """The sandbox signs for itself, anew for each call, with a key that everybody can read."""
    now = round(time.time())
    claims = {"iss": ORIGIN, "aud": SERVED + path, "exp": now + 300, "iat": now, **changes}
    return SIGNER.token({"jku": f"{ORIGIN}/.well-known/jwks.json"}, **claims)


class BlockedError(Exception):
    """All that a page learns of a call that the browser does not let it make, or of an answer it may not read."""


@dataclass(frozen=True)
class Page:
    """A page of an origin; the browser asks before each call, and shows only answers that allow it."""

    http: Client
    origin: str = ORIGIN

    def preflight(self, method: str, path: str) -> TestResponse:
        asked = {"authorization", "content-type"} if method == "POST" else {"authorization"}
        headers = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": ",".join(sorted(asked))}
        response = self.readable(self.http.options(path, headers={"Origin": self.origin, **headers}))
        names = _listed(response, "Access-Control-Allow-Headers")
        if (
            response.status_code // 100 != 2
            or not asked <= names
            or method.lower() not in _listed(response, "Access-Control-Allow-Methods")
        ):
            raise BlockedError(path)
        return response

    def readable(self, response: TestResponse) -> TestResponse:
        if response.headers.get("Access-Control-Allow-Origin") != self.origin:
            raise BlockedError(response.request.path)
        return response

    def call(self, method: str, path: str, document: object = None, token: str | None = None) -> TestResponse:
        """A document that is text is sent as it is."""
        self.preflight(method, path)
        bearer = own_token(path) if token is None else token
        headers = {"Origin": self.origin, "Accept": "application/json", "Authorization": f"Bearer {bearer}"}
        if method == "GET":
            return self.readable(self.http.get(path, headers=headers))
        body = document if isinstance(document, str) else json.dumps(document)
        return self.readable(self.http.post(path, data=body, content_type="application/json", headers=headers))

    def services(self) -> dict[str, Json]:
        """The sandbox keeps services by the address it will call."""
        listed: list[Json] = self.call("GET", DISCOVERY).get_json()["services"]
        return {f"{DISCOVERY}/{service['id']}": service for service in listed}

    def cards(self, path: str, request: Json) -> list[Json]:
        """As the sandbox draws them, gravest first."""
        response = self.call("POST", path, request)
        assert response.status_code == 200, response.text
        cards: list[Json] = response.get_json()["cards"]
        return sorted(cards, key=lambda card: -_GRAVITY[card["indicator"]])

    def feedback(self, path: str, card: Json, outcome: str, **told: Any) -> TestResponse:
        """One entry at a time, in a list."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime())
        entry = {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": stamp, **told}
        return self.call("POST", f"{path}/feedback", {"feedback": [entry]})


@cache
def page() -> Page:
    """The sandbox before the service as it runs open on loopback."""
    return Page(create_app(Settings(explain=False)).test_client())


@cache
def drawn_cards(file: Path) -> tuple[Json, ...]:
    """The cards of a bundled request."""
    return tuple(page().cards(path_of(load(file)), load(file)))


def path_of(request: Json) -> str:
    return f"{DISCOVERY}/{service_of(request['hook'])}"


def topics(cards: list[Json]) -> list[str]:
    return [card["source"]["topic"]["display"] for card in cards]


def _listed(response: TestResponse, header: str) -> set[str]:
    return {name.strip().lower() for name in response.headers.get(header, "").split(",")}


# --- Prefetch ---


def resolved(template: str, patient_id: str) -> str:
    """The query the sandbox makes of a template: the token replaced, the parameters sorted and encoded again."""
    kind, *query = template.replace(_PATIENT, patient_id).split("?")
    return f"{kind}?{urlencode(sorted(parse_qsl(query[0])), quote_via=quote)}" if query else kind


def resources(request: Json) -> list[Json]:
    """All that a request's prefetch holds."""
    return [one for value in request["prefetch"].values() if value for one in _resources(value)]


def _resources(value: Json) -> Iterator[Json]:
    if value["resourceType"] != "Bundle":
        yield value
    yield from (entry["resource"] for entry in value.get("entry", []))


def fetched(request: Json, prefetch: Json) -> Json:
    """What the sandbox gets of a FHIR server that holds a request's resources; a read that fails leaves no key."""
    got: Json = {}
    held = resources(request)
    for key, template in prefetch.items():
        kind, _, query = resolved(template, request["context"]["patientId"]).partition("?")
        codes = {code for name, value in parse_qsl(query) if name == "code" for code in value.split(",")}
        if query:
            found = [one for one in held if one["resourceType"] == kind and (not codes or codes & _codes(one))]
            entries = [{"resource": one} for one in found]
            got[key] = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}
            continue
        for one in held:
            if f"{one['resourceType']}/{one['id']}" == kind:
                got[key] = one
    return got


def _codes(resource: Json) -> set[str]:
    return {f"{coding.get('system')}|{coding['code']}" for coding in resource["code"].get("coding", [])}


# --- The forms ---


@dataclass
class Screens:
    """The forms, with the patient and the clock of a bundled request."""

    record: Json
    services: dict[str, Json]
    drug: Json | None = None
    days: int = 14  # it offers 7, 14, 30, 60 and 90

    def choose(self, strength_mg: str) -> None:
        concept = capsule(strength_mg)
        self._set(concept["coding"][0]["display"], concept["coding"][0]["code"])

    def take(self, suggestion: Json) -> None:
        """Of the first action the drug's text and first code, or the form is cleared."""
        action = suggestion["actions"][0]
        concept = action.get("resource", {}).get("medicationCodeableConcept")
        if action["type"] == "delete":
            self.drug = None
        elif concept is not None:
            self._set(concept["text"], concept["coding"][0]["code"])

    def _set(self, name: str, code: str) -> None:
        self.drug = {"text": name, "coding": [{"display": name, "system": RXNORM, "code": code}]}

    def order(self) -> Json:
        """Always the same id, and a category where a list belongs."""
        today = self.record["extension"][NOW][:10]
        base = {
            "resourceType": "MedicationRequest",
            "id": "request-123",
            "status": "draft",
            "subject": {"reference": f"Patient/{self.record['context']['patientId']}"},
            "authoredOn": today,
        }
        if self.drug is None:
            return base
        timing = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": today}}}
        pill = {"value": 1, "system": UCUM, "code": "{pill}"}
        return base | {
            "intent": "order",
            "category": {"coding": [{"system": _CATEGORIES, "code": "community"}]},
            "medicationCodeableConcept": self.drug,
            "dosageInstruction": [{"timing": timing, "doseAndRate": [{"doseQuantity": pill}]}],
            "dispenseRequest": {
                "expectedSupplyDuration": {"value": self.days, "unit": "days", "system": UCUM, "code": "d"}
            },
        }

    def request(self, path: str, order: Json | None = None) -> Json:
        """Without fhirAuthorization, encounterId and Bundle.type; without prefetch where nothing was got.

        The sandbox names no ``now``; a record of years ago needs one.
        """
        hook, draft = self.services[path]["hook"], order or self.order()
        context: Json = {"patientId": self.record["context"]["patientId"], "userId": "Practitioner/COREPRACTITIONER1"}
        if hook == "order-select":
            context["selections"] = [f"{draft['resourceType']}/{draft['id']}"]
        if hook != "patient-view":
            context["draftOrders"] = {"resourceType": "Bundle", "entry": [{"resource": draft}]}
        got = fetched(self.record, self.services[path]["prefetch"])
        return {
            "hookInstance": str(uuid4()),
            "hook": hook,
            "fhirServer": "https://fhir.example/r4",
            "context": context,
            "extension": {NOW: self.record["extension"][NOW]},
            **({"prefetch": got} if got else {}),
        }


# --- Drawing ---

# The sandbox lets raw HTML of a detail through, so it is read here too.
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Drawn(HTMLParser):
    """A detail as the sandbox shows it: its elements with their attributes, and its text."""

    def __init__(self, detail: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(_MARKDOWN.render(detail))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements.append(("!", {"comment": data}))

    def handle_decl(self, decl: str) -> None:
        self.elements.append(("!", {"declaration": decl}))

    def handle_pi(self, data: str) -> None:
        self.elements.append(("!", {"instruction": data}))
