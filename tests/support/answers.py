"""The answers to all clinical cases and bundled requests, as they go over the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from hooks import answer
from hooks.wire import decode, encode
from tests.support.case_files import load_cases
from tests.support.fixtures import ODD, REQUESTS, load, post_text, service_of
from tests.support.request_builder import build_request

Json = dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """One request and its answer, both as plain JSON."""

    name: str
    request: Json
    response: Json

    @property
    def cards(self) -> list[Json]:
        cards: list[Json] = self.response["cards"]
        return cards

    @property
    def suggestions(self) -> list[Json]:
        return [suggestion for card in self.cards for suggestion in card.get("suggestions", [])]

    @property
    def actions(self) -> list[Json]:
        return [action for suggestion in self.suggestions for action in suggestion.get("actions", [])]

    @property
    def drafts(self) -> dict[str, Json]:
        """The draft orders by reference."""
        bundle = self.request["context"].get("draftOrders", {})
        resources = [entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry]
        return {f"{item['resourceType']}/{item['id']}": item for item in resources if "id" in item}


def judge(request: Mapping[str, Any], now: datetime, protocol: str | None = None) -> Json:
    """The explained answer to a request, both through JSON text."""
    answered: Json = json.loads(encode(answer(decode(encode(request)), now=now, protocol=protocol, explain=True)))
    return answered


@cache
def answered_cases() -> tuple[Answered, ...]:
    """Every clinical case of every protocol."""
    answers = []
    for protocol, case in load_cases():
        request = build_request(case)
        answers.append(Answered(f"{protocol}/{case.id}", as_json(request), judge(request, case.now, protocol)))
    return tuple(answers)


@cache
def answered_requests() -> tuple[Answered, ...]:
    """The bundled requests, the odd ones too, as far as they are answered; that all are is promised elsewhere."""
    answers = []
    for file in sorted([*REQUESTS.glob("*.json"), *ODD.glob("*.json")]):
        request = load(file)
        status, body = post_text(file.read_bytes(), service_of(request["hook"]))
        if status == HTTPStatus.OK:
            answers.append(Answered(file.stem, request, json.loads(body)))
    return tuple(answers)


def as_json(document: Mapping[str, Any]) -> Json:
    """What a receiver makes of it: decimals become the numbers any JSON parser gives."""
    plain: Json = json.loads(encode(document))
    return plain


def accept(request: Mapping[str, Any], suggestion: Mapping[str, Any]) -> Json:
    """The request after an EHR has applied a suggestion to its draft orders."""
    changed = deepcopy(dict(request))
    updated = {_name(action["resource"]): action["resource"] for action in _of_type(suggestion, "update")}
    removed = {action["resourceId"] for action in _of_type(suggestion, "delete")}
    bundle = changed["context"]["draftOrders"]
    named = [(_name(entry.get("resource", {})), entry) for entry in bundle["entry"]]
    bundle["entry"] = [
        {**entry, "resource": updated[name]} if name in updated else entry
        for name, entry in named
        if name not in removed
    ]
    if "selections" in changed["context"]:
        changed["context"]["selections"] = [one for one in changed["context"]["selections"] if one not in removed]
    return changed


def updates(answered: Mapping[str, Any]) -> list[Json]:
    """The suggestions of an answer that change a draft."""
    offered = [suggestion for card in answered["cards"] for suggestion in card.get("suggestions", [])]
    return [suggestion for suggestion in offered if _of_type(suggestion, "update")]


def only_counsels(answered: Mapping[str, Any]) -> bool:
    """Whether nothing is wrong with the order: a man whose treatment starts is counselled, and tests are due before it."""
    shown = [(card["indicator"], card["source"]["topic"]["display"]) for card in answered["cards"]]
    return shown == [("info", "teratogenicity.male-counselling"), ("info", "monitoring.lft-due")]


def _of_type(suggestion: Mapping[str, Any], kind: str) -> Sequence[Json]:
    return [action for action in suggestion.get("actions", []) if action["type"] == kind]


def _name(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"
