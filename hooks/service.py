"""One running service: who calls, what is fetched, the answer, its record, and feedback; knows no HTTP framework."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import uuid4

from cds import load_protocols
from cds.terminology import load_terminology
from hooks.answering import Answer, answered
from hooks.auth import Authenticator
from hooks.circumstances import NOW, as_told, parse_now, refuse_what_is_told, told
from hooks.clients import Client
from hooks.decisions import Call, outcome_of, software_version
from hooks.discovery import discovery
from hooks.exchange import Harmless, Tracing, current
from hooks.feedback import feedback_records
from hooks.fetching import Fetcher
from hooks.health import Health, one_line
from hooks.key_sets import KeySets
from hooks.metrics import Metrics, Queue, count_answer, fired_rules, repeated
from hooks.problems import EncodedError, MalformedError, NotFoundError, UnrecordedError
from hooks.recorder import Recorder
from hooks.settings import Settings
from hooks.stages import Stages, Stopwatch
from hooks.used_tokens import used_tokens
from hooks.wire import SERVICES, Json, decode, encode

SERVICES_PATH = "/cds-services"
_PUBLIC_SANDBOX = "https://sandbox.cds-hooks.org"
_OWN_MACHINE = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
_log = logging.getLogger("lenalidomide_cds")


@dataclass(frozen=True)
class Incoming:
    """A call as it came: its ``Authorization`` and ``Content-Encoding``, its body, and the instant it arrived."""

    authorization: str | None
    encoding: str | None
    body: bytes
    arrived: datetime


@dataclass(frozen=True)
class Outgoing:
    """The response as JSON text, the id under which it is recorded, and the milliseconds of each stage."""

    text: str
    decision: str
    stages: Stages


class Service:
    """All parts of one worker. Knowledge is read here, so that a faulty file stops the start and not an answer."""

    def __init__(self, settings: Settings) -> None:
        protocols = load_protocols()
        self.settings = settings
        self.health = Health()
        self._discovery = encode(discovery(settings.client.terminology or load_terminology()))
        self._parts = ExitStack()
        self.metrics = Metrics(self.health, protocols.values(), settings.metrics_folder)
        self._parts.callback(self.metrics.close)
        # The parts end in reverse: once more when all others have counted what they do at the end.
        self._parts.callback(self._write_metrics)
        self.tracing = _tracing(settings)
        if self.tracing is not None:
            self._parts.callback(self.tracing.close)
        self._recorder = Recorder(settings.storage, self.health) if settings.storage else None
        if self._recorder is not None:
            self._parts.callback(self._recorder.close)
        self._fetcher = Fetcher(settings.fetching, self.health)
        self._parts.callback(self._fetcher.close)
        self._authenticator = _authenticator(settings, self.health)
        if settings.metrics_folder is not None:
            # Another worker may be asked, and cannot ask this one.
            self._parts.enter_context(repeated(self._write_metrics, self.health))

    def discovery(self, authorization: str | None) -> str:
        """The discovery document."""
        self._caller(authorization, SERVICES_PATH)
        return self._discovery

    def answer(self, service: str, incoming: Incoming) -> Outgoing:
        """The response to a hook call."""
        started, watch = monotonic(), Stopwatch("caller")
        caller = self._caller(incoming.authorization, f"{SERVICES_PATH}/{service}")
        watch.enter("decode")
        document = _document(service, incoming)
        if not isinstance(document, dict):
            raise MalformedError("body", "expected a JSON object")
        client, now = self.circumstances(document, caller, incoming.arrived)
        watch.enter("fetch")
        deadline = started + self.settings.fetching.budget
        request = self.completed(document, client, now, deadline)
        explain = self.settings.explain
        answer = answered(request, now=now, explain=explain, service=service, client=client, enter=watch.enter)
        for fault in answer.faults:
            _log.error("%s", fault)
        watch.enter("encode")
        text = encode(answer.response)
        watch.enter("record")
        identifier = str(uuid4())
        if self._recorder is not None:
            took = (monotonic() - started) * 1000
            self._recorder.decision(
                Call(identifier, service, client, request, incoming.arrived, now, explain, answer, text, took)
            )
        stages = watch.stop()
        with Harmless():
            self._observe(answer, identifier, stages)
        return Outgoing(text, identifier, stages)

    def circumstances(self, document: Mapping[str, Any], caller: Client, arrived: datetime) -> tuple[Client, datetime]:
        """The client as a request wants it treated, and its now; in open mode alone the request has a say in either."""
        if not self.settings.open_mode:
            refuse_what_is_told(document)
        client, now = as_told(document, caller), told(document, NOW)
        return client, arrived.astimezone(client.time_zone) if now is None else parse_now(now, client.time_zone)

    def completed(
        self, document: Mapping[str, Any], client: Client, now: datetime, deadline: float | None = None
    ) -> Mapping[str, Any]:
        """The request with what its prefetch lacked, until an instant of ``time.monotonic``: by default within the budget."""
        budgeted = monotonic() + self.settings.fetching.budget
        return self._fetcher.complete(document, client, now, budgeted if deadline is None else deadline)

    def feedback(self, service: str, incoming: Incoming) -> None:
        """Record feedback. Raises ``Problem`` where an entry is none, or where nothing can be recorded."""
        paths = (f"{SERVICES_PATH}/{service}/feedback", f"{SERVICES_PATH}/{service}")
        client = self._caller(incoming.authorization, *paths)
        document = _document(service, incoming)
        records, wrong = feedback_records(document, service, client.name, incoming.arrived)
        if records:
            if self._recorder is None:
                raise UnrecordedError("feedback", "is not recorded by this service")
            self._recorder.feedback(records)
        if wrong is not None:
            raise wrong

    def state(self) -> Json:
        """What of the service is degraded, what was counted, and how many records wait for the database."""
        waiting = None if self._recorder is None else self._recorder.waiting
        return {
            "status": "degraded" if self.health.degraded else "ready",
            "degraded": dict(self.health.degraded),
            "counts": dict(self.health.counts),
            "waiting": waiting,
        }

    def exposition(self) -> bytes:
        """The metrics, as Prometheus reads them."""
        self._write_metrics()
        return self.metrics.exposition()

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may call (CORS)."""
        if self.settings.open_mode:
            return origin == _PUBLIC_SANDBOX or _OWN_MACHINE.fullmatch(origin) is not None
        return any(origin in client.cors_origins for client in self.settings.clients)

    def close(self) -> None:
        """Finish what is under way."""
        self._parts.close()

    def _caller(self, authorization: str | None, *paths: str) -> Client:
        client = self.settings.client
        if self._authenticator is not None:
            client = self._authenticator.caller(authorization, paths)
        current().client = client.name
        return client

    def _observe(self, answer: Answer, decision: str, stages: Stages) -> None:
        """Tell what was answered, without anything of the patient."""
        exchange = current()
        exchange.outcome, exchange.decision = outcome_of(answer), decision
        exchange.protocol = answer.evaluation.protocol.id
        if exchange.trace is not None:
            exchange.rules = fired_rules(answer.evaluation)
            exchange.trace.stages(stages)
        count_answer(self.health, answer.evaluation, answer.response["cards"])

    def _write_metrics(self) -> None:
        recorder, storage = self._recorder, self.settings.storage
        if recorder is not None and storage is not None:
            self.metrics.write(Queue(recorder.waiting, recorder.spool_bytes, storage.spool_bytes))
        else:
            self.metrics.write(Queue())


def _authenticator(settings: Settings, health: Health) -> Authenticator | None:
    """None in open mode."""
    if settings.open_mode:
        return None
    keys = KeySets(health, settings.fetching.ca_bundle)
    keys.warm([client.identity for client in settings.clients if client.identity is not None])
    folder = None if settings.storage is None else settings.storage.folder
    return Authenticator(settings.clients, settings.tokens, keys, used_tokens(settings.tokens, folder, health))


def _tracing(settings: Settings) -> Tracing | None:
    """None where nobody asks for traces: the libraries for them are not even imported then."""
    if not settings.tracing:
        return None
    from hooks.tracing import OpenTelemetry  # noqa: PLC0415

    return OpenTelemetry(software_version())


def _document(service: str, incoming: Incoming) -> object:
    if service not in SERVICES:
        raise NotFoundError("", f"no service '{service[:40]}'; there are {', '.join(SERVICES)}")
    if incoming.encoding not in {None, "", "identity"}:
        raise EncodedError(
            "Content-Encoding", f"'{one_line(incoming.encoding, 20)}' is not read; send the body as it is"
        )
    return decode(incoming.body)
