"""The decision record: what was said, by which protocol and rules, on which facts, when, and how long it took."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from zoneinfo import ZoneInfo

from cds.findings import Action, Indicator
from cds.snapshot import REQUIRED_KINDS
from hooks.answering import Answer
from hooks.cards import NOT_CHECKED as NOT_CHECKED_TOPIC
from hooks.clients import Client
from hooks.secrecy import Pseudonyms, Seal
from hooks.shown import Shown
from hooks.wire import EXTENSION, PATIENT_VIEW, Json, encode_received

OUTCOMES = ADVICE, IN_ORDER, NOT_CHECKED, NOT_OURS = "advice", "in order", "could not check", "not our drug"
_DIGEST_LENGTH = 12
_PATIENT = re.compile(r"\bPatient/([A-Za-z0-9.-]+)")
_ORDINARY = re.compile(r"[A-Za-z0-9.-]+")  # stands in JSON as it is
_UNMISTAKABLE = 6  # characters; a shorter id could be part of a date or a value


@dataclass(frozen=True)
class Call:
    """One hook call that was answered: what came (with what was fetched), who called, when, and the answer as it left.

    ``now`` is what the evaluation took for now: ``arrived``, unless a request in open mode named another instant.
    """

    id: str
    service: str
    client: Client
    request: Mapping[str, Any]
    arrived: datetime
    now: datetime
    explain: bool
    answer: Answer
    text: str
    milliseconds: float


def decision_record(call: Call, pseudonyms: Pseudonyms, seal: Seal | None) -> Json:
    """The record as plain JSON: the patient under a pseudonym, the whole request only where there is a ``seal``."""
    answer, called = call.answer, call.answer.request
    protocol = answer.evaluation.protocol
    explanation = answer.explanation()
    patient = pseudonyms.of(call.client.name, called.patient_id)
    named = _Named(call.client.name, called.patient_id, patient, pseudonyms)
    told: Json = {
        "hook": called.hook,
        "hook_instance": called.hook_instance,
        "cards": [_card(card) for card in answer.response["cards"]],
        "explanation": explanation,
    }
    return {
        "record": "decision",
        "id": call.id,
        "at": call.arrived.astimezone(UTC).isoformat(),
        "milliseconds": round(call.milliseconds, 3),
        "client": call.client.name,
        "service": call.service,
        "patient": patient,
        "protocol": protocol.id,
        "protocol_version": protocol.full_version,
        "protocol_digest": protocol.digest,
        "software": software_version(),
        "outcome": outcome_of(answer),
        "answer_digest": digest(call.text),
        **(_without(told, named) if named.may_be_in(encode_received(told)) else told),
        "faults": list(answer.faults),
        "sealed": None if seal is None else seal.closed(_replayable(call)),
    }


def outcome_of(answer: Answer) -> str:
    """Which of the outcomes an answer is: they are never confused, and a card tells them apart."""
    judgements, supplied = answer.evaluation.judgements, answer.snapshot.supplied
    may_be_ours = answer.request.hook == PATIENT_VIEW and not supplied("MedicationRequest").proves_absence
    if not judgements and not may_be_ours:
        return NOT_OURS
    given = (judgement.recommendation for judgement in judgements)
    if any(recommendation is not None and recommendation.action is Action.DEFER for recommendation in given):
        return NOT_CHECKED
    if answer.response["cards"]:
        is_advice = any(card["source"]["topic"]["display"] != NOT_CHECKED_TOPIC for card in answer.response["cards"])
        return ADVICE if is_advice else NOT_CHECKED
    return IN_ORDER if all(supplied(kind).proves_absence for kind in REQUIRED_KINDS) else NOT_CHECKED


def digest(text: str) -> str:
    """Fingerprint of an answer's bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def software_version() -> str:
    """The release, and a fingerprint of all code and knowledge: byte identity is promised where both are equal."""
    seen = hashlib.sha256()
    for package in ("cds", "hooks"):
        for name, content in _contents(files(package), package):
            seen.update(name.encode() + b"\0" + content + b"\0")
    return f"{version('lenalidomide-cds')}+{seen.hexdigest()[:_DIGEST_LENGTH]}"


def client_of(kept: Mapping[str, Any], today: Client) -> Client:
    """The client as it was configured at a decision; its files of codes are today's."""
    shown_at = {
        hook: Shown(Indicator(shown["least"]), frozenset(shown["also"]), today.shown_at[hook].hides_orders_without_dose)
        for hook, shown in kept["shown_at"].items()
    }
    return Client(
        name=kept["name"],
        protocol=kept["protocol"],
        card_profile=kept["card_profile"],
        time_zone=ZoneInfo(kept["time_zone"]),
        shown_at=shown_at,
        programme=today.programme,
        terminology=today.terminology,
    )


def _replayable(call: Call) -> Json:
    """All that an answer depends on beside this software and its knowledge."""
    client = call.client
    return {
        "request": call.request,
        "now": call.now.isoformat(),
        "explain": call.explain,
        "answer": call.text,
        "client": {
            "name": client.name,
            "protocol": client.protocol,
            "card_profile": client.card_profile,
            "time_zone": str(client.time_zone),
            "shown_at": {
                hook: {"least": shown.least.value, "also": sorted(shown.also)}
                for hook, shown in client.shown_at.items()
            },
        },
    }


def _card(card: Json) -> Json:
    """What a report needs of a card; the texts rest on the patient's data and are in the sealed answer."""
    return {
        "uuid": card["uuid"],
        "advice": card["extension"][f"{EXTENSION}.decision"],
        "rule": card["source"]["topic"]["display"],
        "topic": card["source"]["topic"]["code"],
        "indicator": card["indicator"],
        "summary": card["summary"],
        "suggestions": [
            {"uuid": suggestion["uuid"], "label": suggestion["label"]} for suggestion in card.get("suggestions", [])
        ],
    }


@dataclass(frozen=True)
class _Named:
    """Whose id is to be replaced, also those of other patients whose data came by mistake."""

    client: str
    patient_id: str
    pseudonym: str
    pseudonyms: Pseudonyms

    def may_be_in(self, encoded: str) -> bool:
        """Whether JSON text could name a patient: most of it does not, which is seen at once."""
        if "Patient/" in encoded or not _ORDINARY.fullmatch(self.patient_id):
            return True
        return len(self.patient_id) >= _UNMISTAKABLE and self.patient_id in encoded

    def out_of(self, text: str) -> str:
        """The text without ids of patients; a short one is replaced only where it is a reference."""
        if "Patient/" in text:
            text = _PATIENT.sub(lambda match: f"Patient/{self.pseudonyms.of(self.client, match[1])}", text)
        return text.replace(self.patient_id, self.pseudonym) if len(self.patient_id) >= _UNMISTAKABLE else text


def _without(value: Any, named: _Named) -> Any:
    """The same JSON without ids of patients."""
    if isinstance(value, str):
        return named.out_of(value)
    if isinstance(value, dict):
        return {key: _without(item, named) for key, item in value.items()}
    return [_without(item, named) for item in value] if isinstance(value, list) else value


def _contents(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{name}/{item.name}"
        if item.is_dir():
            found += [] if item.name == "__pycache__" else _contents(item, path)
        elif item.name.endswith((".py", ".yaml")):
            found.append((path, item.read_bytes()))
    return found
