"""Prescribers' record systems: authenticated calls at a steady rate, of which each answer is compared with the right one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from threading import Lock, Thread
from time import monotonic, sleep, time
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from hooks import answer
from hooks.wire import encode
from tests.support.today import moved_to_today

ISSUER, KEY_ID, PUBLIC = "https://ehr.example", "load", "https://cds.example"
MISSING = ("counts", "kidney", "chemistry", "conditions", "medications")
"""The prefetch keys that some calls lack."""

_REQUESTS = Path(__file__).parents[2] / "fhir_fixtures" / "requests"
_BAD = (b'{"hook": "order-sign"}', b'{"hook": "order-sign", "hookInstance": "x", "context": {}}', b"{")
_BAD_SHARE, _LACKING_SHARE, _FEEDBACK_SHARE = 0.02, 0.1, 0.3
_TIMEOUT = 30  # seconds
_OK, _BAD_REQUEST = 200, 400

Json = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A bundled request as if its day were today: its path, its body whole and lacking, and the right answer to the whole."""

    name: str
    path: str
    body: bytes
    lacking: bytes
    answer: str

    @property
    def cards(self) -> list[Json]:
        """The cards of the right answer."""
        cards: list[Json] = json.loads(self.answer)["cards"]
        return cards


def bundled_requests() -> dict[str, Json]:
    """The bundled requests by name, as of today; the same in each call, so that the bytes of the right answer are too."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted(_REQUESTS.glob("*.json"))}
    return {name: {**moved_to_today(text), "hookInstance": str(uuid4())} for name, text in texts.items()}


def resources(requests: Iterable[Json]) -> list[Json]:
    """What a FHIR server has if it has all that the requests bring."""
    found: list[Json] = []
    for request in requests:
        for value in request["prefetch"].values():
            if value is not None:
                found += [entry["resource"] for entry in value.get("entry", [])] if "entry" in value else [value]
    return [json.loads(encode(one)) for one in found if one["resourceType"] != "Bundle"]


def template(name: str, request: Json, fhir_server: str) -> Template:
    """What is to be sent and received, once with all data and once with a FHIR server to get five keys from."""
    lacking = {
        **request,
        "prefetch": {key: value for key, value in request["prefetch"].items() if key not in MISSING},
        "fhirServer": fhir_server,
        "fhirAuthorization": {
            "access_token": "a-token-of-the-load-run",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "user/*.read",
            "subject": "load",
        },
    }
    path = f"/cds-services/lenalidomide-{request['hook']}"
    right = encode(answer(request, now=datetime.now(UTC)))
    return Template(name, path, encode(request).encode(), encode(lacking).encode(), right)


@dataclass
class Tally:
    """What happened, by all callers together. ``at`` in seconds of ``time.monotonic``."""

    statuses: Counter[str] = field(default_factory=Counter)
    whole: list[float] = field(default_factory=list)
    lacking: list[float] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    feedback: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)
    unchecked: int = 0
    lock: Lock = field(default_factory=Lock)


@dataclass
class Callers:
    """Several callers, each with a connection of its own; ``rate`` is of all together, None as fast as they are answered."""

    port: int
    key: EllipticCurvePrivateKey
    templates: Sequence[Template]
    number: int
    day: date

    def call(self, seconds: float, rate: float | None) -> Tally:
        """Call for so long."""
        tally, end = Tally(), monotonic() + seconds
        pause = 0.0 if rate is None else self.number / rate
        callers = [_Caller(self, tally, Random(number)) for number in range(self.number)]
        threads = [Thread(target=caller.run, args=(end, pause)) for caller in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return tally


class _Caller:
    def __init__(self, callers: Callers, tally: Tally, random: Random) -> None:
        self._callers, self._tally, self._random = callers, tally, random
        self._connection = HTTPConnection("127.0.0.1", callers.port, timeout=_TIMEOUT)

    def run(self, end: float, pause: float) -> None:
        due = monotonic() + self._random.random() * pause
        while monotonic() < end:
            sleep(max(0.0, due - monotonic()))
            # A caller that was held up does not make up for it.
            due = max(due + pause, monotonic() - pause)
            try:
                self._once()
            except (OSError, HTTPException) as error:
                self._connection.close()
                with self._tally.lock:
                    self._tally.failed.append((monotonic(), f"{type(error).__name__}: {error}"))

    def _once(self) -> None:
        if self._random.random() < _BAD_SHARE:
            status, _, _ = self._post("/cds-services/lenalidomide-order-sign", self._random.choice(_BAD))
            self._count("faulty request", status, right=_BAD_REQUEST)
            return
        template = self._random.choice(self._callers.templates)
        is_lacking = self._random.random() < _LACKING_SHARE
        began = monotonic()
        status, decision, text = self._post(template.path, template.lacking if is_lacking else template.body)
        took = monotonic() - began
        self._count("with something to fetch" if is_lacking else "whole", status, right=_OK)
        if status == _OK:
            with self._tally.lock:
                (self._tally.lacking if is_lacking else self._tally.whole).append(took)
                self._tally.decisions.append(decision)
            self._compare(template, decision, text, is_lacking=is_lacking)

    def _compare(self, template: Template, decision: str, text: str, *, is_lacking: bool) -> None:
        if datetime.now(UTC).date() != self._callers.day:
            return
        if not is_lacking:
            if text != template.answer:
                self._wrong(template, decision)
            for card in template.cards:
                if self._random.random() < _FEEDBACK_SHARE:
                    self._feed_back(template.path, card["uuid"])
            return
        # What could not be fetched may change the advice, but never into silence.
        cards = json.loads(text)["cards"]
        if _advice(cards) != _advice(template.cards):
            with self._tally.lock:
                self._tally.unchecked += 1
            # Where the orders did not come, a patient's view cannot know that it is about lenalidomide.
            if not cards and not template.name.startswith("patient-view"):
                self._wrong(template, decision)

    def _feed_back(self, path: str, card: str) -> None:
        entry: Json = {"card": card, "outcome": "overridden", "outcomeTimestamp": datetime.now(UTC).isoformat()}
        if self._random.random() < _FEEDBACK_SHARE:
            entry = {**entry, "outcome": "accepted", "acceptedSuggestions": []}
        status, _, _ = self._post(f"{path}/feedback", json.dumps({"feedback": [entry]}).encode())
        self._count("feedback", status, right=_OK)
        if status == _OK:
            with self._tally.lock:
                self._tally.feedback.append(card)

    def _post(self, path: str, body: bytes) -> tuple[int, str, str]:
        now = int(time())
        claims = {"iss": ISSUER, "aud": PUBLIC + path, "iat": now, "exp": now + 300, "jti": str(uuid4())}
        token = jwt.encode(claims, self._callers.key, algorithm="ES384", headers={"kid": KEY_ID})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.headers.get("X-Decision-Id", ""), response.read().decode()

    def _count(self, what: str, status: int, *, right: int) -> None:
        with self._tally.lock:
            self._tally.statuses[f"{what}: {status}"] += 1
            if status != right:
                self._tally.failed.append((monotonic(), f"{what}: status {status}"))

    def _wrong(self, template: Template, decision: str) -> None:
        with self._tally.lock:
            self._tally.wrong.append(f"{template.name} {decision}")


def _advice(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(card["source"]["topic"]["code"] for card in cards)
