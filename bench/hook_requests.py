"""Generated order-sign requests of lenalidomide in maintenance, shaped like a record system's; the same for a day and a seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import yaml

from hooks.prefetch import KIND_OF_KEY

Json = dict[str, Any]

SERVICE = "lenalidomide-order-sign"
INSTANCE = "00000000-0000-4000-8000-000000000000"
"""The ``hookInstance`` of every generated body, to be replaced by one of its own for each call."""

_MADE_OF: Json = yaml.safe_load(Path(__file__).with_name("record.yaml").read_text(encoding="utf-8"))
_PATIENT = "e7f3kQ2v-Zb4LwYx1RtN9aAB3"
_BASE = "https://ehr.example/fhir/r4"
_CYCLE = 28
_LATEST = 2  # days since the last visit
_FEWEST, _MOST_VISITS = 5, 53  # results at a visit; visits of two years, when there is one each two weeks


@dataclass(frozen=True)
class Size:
    """How much a request brings: observations, past orders of a cycle each, and whether more of the record than is needed."""

    name: str
    observations: int
    cycles: int = 26
    whole: bool = True


SMALL, TYPICAL, LARGE = Size("small", 4, 1, whole=False), Size("typical", 20), Size("large", 1000)
SIZES = (SMALL, TYPICAL, LARGE)


def order_sign(size: Size, today: date, *, in_order: bool, seed: int = 1) -> Json:
    """A request for today: an ordinary renewal, or one whose counts, kidneys and prophylaxis want cards."""
    record = _Record(Random(f"{seed} {size.name}"), today)
    draft = {"resource": record.order(0, "lenalidomide", "draft")}
    return {
        "hookInstance": INSTANCE,
        "hook": "order-sign",
        "fhirServer": _BASE,
        "context": {
            "userId": draft["resource"]["requester"]["reference"],
            "patientId": _PATIENT,
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [draft]},
        },
        "prefetch": record.prefetch(size, in_order=in_order),
    }


def bodies(size: Size, today: date) -> tuple[bytes, bytes]:
    """An ordinary renewal, and one with cards, as they come over the wire."""
    return encoded(order_sign(size, today, in_order=True)), encoded(order_sign(size, today, in_order=False))


def encoded(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()


def of_its_own(body: bytes) -> bytes:
    """The body as a call of its own hook instance, so that nobody can have kept an answer to it."""
    return body.replace(INSTANCE.encode(), str(uuid4()).encode(), 1)


def resources(request: Mapping[str, Any]) -> list[Json]:
    """Every resource of a request: the patient, its draft, then what else prefetch holds."""
    values = [request["context"]["draftOrders"], *request["prefetch"].values()]
    return [entry["resource"] for value in values for entry in value.get("entry", [{"resource": value}])]


class _Record:
    """One man's, drawn by chance but coherent: what is measured stays near what is usual for him."""

    def __init__(self, random: Random, today: date) -> None:
        self._random, self._today = random, today

    def prefetch(self, size: Size, *, in_order: bool) -> Json:
        """Every declared key, and one of the record system's own."""
        other: Mapping[str, Any] = _MADE_OF["others"] if size.whole else dict.fromkeys(_MADE_OF["others"], ())
        found: dict[str, list[Json]] = {key: [] for key in KIND_OF_KEY if key != "patient"}
        found["medications"] = [
            *(self.order(_CYCLE * number, "lenalidomide", "completed") for number in range(1, size.cycles + 1)),
            self.order(_CYCLE * size.cycles, "aspirin", "active" if in_order else "stopped"),
            *(self.order(900, drug, "active") for drug in other["medications"]),
        ]
        found["conditions"] = [
            self._coded("Condition", 1400, one) for one in (_MADE_OF["myeloma"], *other["conditions"])
        ]
        found["procedures"] = [
            self._coded("Procedure", 828, one) for one in (_MADE_OF["transplant"], *other["procedures"])
        ]
        found["allergies"] = [self._coded("AllergyIntolerance", 3000, _MADE_OF["penicillin"])] if size.whole else []
        for key, observation in self._observations(size.observations, in_order=in_order):
            found.setdefault(key, []).append(observation)
        patient = {**self._resource("Patient", 66 * 365), "id": _PATIENT}
        return {"patient": patient, **{key: _searchset(items) for key, items in found.items()}}

    def order(self, days: int, drug: str, status: str) -> Json:
        dose, *coding = _MADE_OF[drug]
        reason = [_concept(_MADE_OF["myeloma"])] if drug == "lenalidomide" else None
        told = {"status": status, "dose": dose, "sig": f"{dose} mg by mouth once daily", "reason": reason}
        return self._coded("MedicationRequest", days, coding, **told)

    def _observations(self, count: int, *, in_order: bool) -> Iterator[tuple[str, Json]]:
        """The latest visit first: the counts and creatinine at each, of the others the next ones in turn."""
        visits = max(1, min(_MOST_VISITS, count // _FEWEST))
        weeks = 2 if visits * 2 > _MOST_VISITS else 4
        always, turn = _MADE_OF["at_every_visit"], cycle(_MADE_OF["in_turn"])
        for visit in range(visits):
            share = count // visits + (visit < count % visits)
            for key, code, display, usual, unit, low, high, digits in (*always, *islice(turn, share - len(always))):
                changed = None if in_order or visit else _MADE_OF["out_of_order"].get(code)
                value = changed or round(usual * self._random.uniform(0.93, 1.07), digits)
                told = {"category": "vital-signs" if key == "vitals" else "laboratory", "value": value, "unit": unit}
                note = self._random.choice(_MADE_OF["notes"])
                told |= {"low": low, "high": high, "note": note and [{"text": note}]}
                yield key, self._coded("Observation", _LATEST + 7 * weeks * visit, ("loinc", code, display), **told)

    def _coded(self, kind: str, days: int, coding: Iterable[str], **told: object) -> Json:
        return self._resource(kind, days, concept=_concept(coding), **told)

    def _resource(self, kind: str, days: int, **told: object) -> Json:
        """A resource of so many days ago."""
        day, number = self._today - timedelta(days=days), self._random.getrandbits(128)
        values = {
            "id": str(UUID(int=number, version=4)),
            "day": day.isoformat(),
            "taken": f"{day}T07:40:00+00:00",
            "changed": f"{day}T09:{number % 60:02}:31+00:00",
            "number": f"{number % 10**9:09}",
            "encounter": f"Encounter/e{number % 10**12:012}",
            "patient": f"Patient/{_PATIENT}",
        }
        resource: Json = _filled({"resourceType": kind, **_MADE_OF["any"], **_MADE_OF[kind]}, values | told)
        return resource


def _filled(shape: Any, values: Mapping[str, object]) -> Any:
    """The shape with its placeholders replaced, and without those that stand for nothing."""
    match shape:
        case dict():
            filled = {key: _filled(value, values) for key, value in shape.items()}
            return {key: value for key, value in filled.items() if value is not None}
        case list():
            return [_filled(value, values) for value in shape]
        case str() if shape.startswith("$"):
            return values.get(shape[1:])
        case _:
            return shape


def _concept(coding: Iterable[str]) -> Json:
    system, code, display = coding
    return {"coding": [{"system": _MADE_OF["systems"][system], "code": code, "display": display}], "text": display}


def _searchset(found: Iterable[Json]) -> Json:
    entries = [
        {"fullUrl": f"{_BASE}/{item['resourceType']}/{item['id']}", "resource": item, "search": {"mode": "match"}}
        for item in found
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
