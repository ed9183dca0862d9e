"""A hospital whose record system sends no prefetch: its requests, completed from the FHIR server of the tests and answered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Any

from hooks import answer
from hooks.clients import Client, FhirServer
from hooks.fetching import Fetcher
from hooks.health import Health
from hooks.settings import Fetching
from hooks.wire import decode
from tests.support.fhir_server import FhirServerProcess
from tests.support.fixtures import REQUESTS

Json = dict[str, Any]
TOKEN = "the-token-of-the-test"
AUTHORIZATION: Json = {
    "access_token": TOKEN,
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/*.read",
    "subject": "cds-service",
}
AMPLE = 10.0
_NAMES = count(1)


def bundled(name: str = "order-sign-first-neutropenia") -> Json:
    """A bundled request, with its whole prefetch."""
    request: Json = decode((REQUESTS / f"{name}.json").read_bytes())
    return request


def now_of(request: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(request["extension"]["org.lenalidomide-maintenance.now"])


@dataclass
class Hospital:
    """One FHIR server that behaves in one way, as the only one configured; each has a name of its own in the server's memory."""

    process: FhirServerProcess
    behaviour: str = "well"
    target: str = ""
    limits: Fetching = field(default_factory=lambda: Fetching(budget=AMPLE, bytes=1_000_000))
    private: bool = True
    name: str = field(default_factory=lambda: f"hospital-{next(_NAMES)}")
    health: Health = field(default_factory=Health)

    @property
    def base(self) -> str:
        return self.process.base(self.behaviour, self.name, self.target)

    @property
    def server(self) -> FhirServer:
        return FhirServer(self.base, private=self.private)

    def request(self, of: str = "order-sign-first-neutropenia", **changes: Any) -> Json:
        """A bundled request without prefetch, but with access to this server; a change to None leaves a member out."""
        asked = {**bundled(of), "prefetch": {}, "fhirServer": self.base, "fhirAuthorization": AUTHORIZATION, **changes}
        return {key: value for key, value in asked.items() if value is not None}

    def completed(self, request: Json | None = None, *, seconds: float = AMPLE, **changes: Any) -> Json:
        """The request as completed within so many seconds."""
        asked = {**(self.request() if request is None else request), **changes}
        with closing(Fetcher(self.limits, self.health)) as fetcher:
            return dict(fetcher.complete(asked, self.client, now_of(asked), monotonic() + seconds))

    @property
    def client(self) -> Client:
        return Client(fhir_servers=(self.server,))

    @property
    def asked(self) -> list[str]:
        """What was asked for: path and query below the base."""
        return [one["path"].split(f"/{self.name}/", 1)[1] for one in self.process.requests(self.name)]

    @property
    def kinds_asked(self) -> list[str]:
        return sorted(path.partition("?")[0] for path in self.asked)


def cards_of(completed: Json) -> list[Json]:
    cards: list[Json] = answer(completed, now=now_of(completed))["cards"]
    return cards


def not_checked(completed: Json) -> str:
    """What the first card says was not checked, as plain text."""
    _, _, listed = cards_of(completed)[0]["detail"].partition("**Not checked**")
    text: str = listed.replace("\\", "")
    return text


def summaries(completed: Json) -> list[str]:
    return [card["summary"] for card in cards_of(completed)]


def failures(completed: Json) -> dict[str, str]:
    """The FHIR issue code of each prefetch value that failed as a whole, by key."""
    values = completed["prefetch"].items()
    return {key: value["issue"][0]["code"] for key, value in values if value["resourceType"] == "OperationOutcome"}
