"""What is done on the screen, as changes of the request: the order, a result, the circumstances, an accepted suggestion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from cds import PROTOCOL_IDS
from cds.findings import Correction
from cds.level import Level, Schedule
from cds.terminology import load_terminology
from hooks.circumstances import CARD_PROFILE, NOW, known_profile, parse_now
from hooks.problems import MalformedError, UnsuitableError
from hooks.sandbox.located import at, drafts
from hooks.sandbox.renewal import renewal, rewritten
from hooks.sandbox.scene import Scene
from hooks.wire import EXTENSION, ORDER_SELECT, PATIENT_VIEW, SERVICES, Json, decode

_TIMES = ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming")
_LONGEST_SUPPLY = 1000
_LONGEST_NUMBER = 30
_DATE_LENGTH = len("2024-05-15")

Change = Mapping[str, Any]
ANSWERS = ("negative", "positive", "indeterminate")
"""What the result of a test may be changed to."""
SCHEDULES = tuple(schedule.value for schedule in Schedule)


def edited(scene: Scene, change: Mapping[str, Any]) -> Json:
    """The scene's request with one change carried out. Raises ``Problem`` for a value that cannot be used."""
    if scene.fault is not None:
        raise scene.fault
    kind = str(change.get("kind", ""))
    if kind not in _EDITS:
        raise UnsuitableError("kind", f"'{kind[:40]}' is not one of {', '.join(_EDITS)}")
    request = deepcopy(dict(scene.request))
    _EDITS[kind](request, scene, change)
    return request


def _draft(request: Json, scene: Scene, change: Change) -> None:
    """Write the order anew with another strength, schedule, supply or start."""
    reference = _text(change, "order")
    found = [draft for draft in drafts(request) if f"{draft.get('resourceType')}/{draft.get('id')}" == reference]
    if not found:
        raise UnsuitableError("order", f"'{reference[:80]}' is no draft of this request")
    level = Level(_number(change, "strength"), Schedule(_choice(change, "schedule", SCHEDULES)))
    corrections = [Correction("days_supply", int(_number(change, "days", most=_LONGEST_SUPPLY)))]
    if change.get("start"):
        corrections.append(Correction("start", _date(change, "start")))
    order = rewritten(found[0], level, corrections, scene)
    found[0].clear()
    found[0].update(order)


def _renew(request: Json, scene: Scene, _: Change) -> None:
    """Draft an order where none is left."""
    request.setdefault("context", {})["draftOrders"] = renewal(scene)


def _result(request: Json, scene: Scene, change: Change) -> None:
    """Another value, answer or day of one result; its unit and its time of day stay."""
    resource = at(request, _text(change, "place"))
    if change.get("value"):
        quantity = resource.get("valueQuantity")
        if not isinstance(quantity, dict):
            raise UnsuitableError("value", "this result is no number")
        quantity["value"] = _number(change, "value", least=None)
    if change.get("answer"):
        coding = dict((scene.client.terminology or load_terminology()).coded_answer(_choice(change, "answer", ANSWERS)))
        resource["valueCodeableConcept"] = {"coding": [coding], "text": coding["display"]}
    if change.get("date"):
        before = next((resource[name] for name in _TIMES if isinstance(resource.get(name), str)), "")
        time_of_day = before[_DATE_LENGTH:] if "T" in before else ""
        for name in _TIMES:
            resource.pop(name, None)
        resource["effectiveDateTime"] = f"{_date(change, 'date').isoformat()}{time_of_day}"


def _circumstances(request: Json, scene: Scene, change: Change) -> None:
    """Hook, protocol, card profile and now; a hook that needs an order takes back the one that was there, or drafts one."""
    extension = request.setdefault("extension", {})
    _set(extension, "protocol", _choice(change, "protocol", ("", *PROTOCOL_IDS)))
    _set(extension, CARD_PROFILE, known_profile(_text(change, "profile")))
    if change.get("now"):
        _set(extension, NOW, parse_now(_text(change, "now"), scene.client.time_zone).isoformat(timespec="seconds"))
    hook = _choice(change, "hook", tuple(SERVICES.values()))
    context = request.setdefault("context", {})
    context.pop("selections", None)
    if hook == PATIENT_VIEW:
        context.pop("draftOrders", None)
    elif "draftOrders" not in context:
        context["draftOrders"] = _earlier_drafts(change) or renewal(scene)
    request["hook"] = hook
    if hook == ORDER_SELECT:
        context["selections"] = [
            f"MedicationRequest/{draft.get('id')}"
            for draft in drafts(request)
            if draft.get("resourceType") == "MedicationRequest"
        ]


def _earlier_drafts(change: Change) -> object:
    """The draft orders of the request before a hook without any was chosen."""
    earlier = decode(_text(change, "earlier")) if change.get("earlier") else {}
    context = earlier.get("context") if isinstance(earlier, dict) else None
    return context.get("draftOrders") if isinstance(context, dict) else None


def _accept(request: Json, scene: Scene, change: Change) -> None:
    """Carry out the actions of a suggestion of the response."""
    offered = {
        (card.get("uuid"), suggestion.get("uuid")): suggestion
        for card in scene.response.get("cards", [])
        for suggestion in card.get("suggestions", [])
    }
    wanted = offered.get((change.get("card"), change.get("suggestion")))
    if wanted is None:
        raise UnsuitableError("suggestion", "is not one of the response's")
    context = request.setdefault("context", {})
    bundle = context.setdefault("draftOrders", {"resourceType": "Bundle", "type": "collection"})
    for action in wanted["actions"]:
        bundle["entry"] = _acted(bundle.get("entry", []), action)
    if "selections" in context:
        left = {f"{draft.get('resourceType')}/{draft.get('id')}" for draft in drafts(request)}
        context["selections"] = [selection for selection in context["selections"] if selection in left]


def _acted(entries: list[Json], action: Json) -> list[Json]:
    resource = action.get("resource", {})
    if action["type"] == "create":
        taken = len(entries) + 1
        return [*entries, {"resource": {**resource, "id": resource.get("id", f"accepted-{taken}")}}]
    target = action.get("resourceId") or f"{resource.get('resourceType')}/{resource.get('id')}"
    targets = {target} if isinstance(target, str) else set(target)

    def is_meant(entry: Json) -> bool:
        drawn = entry.get("resource", {})
        return f"{drawn.get('resourceType')}/{drawn.get('id')}" in targets

    if action["type"] == "delete":
        return [entry for entry in entries if not is_meant(entry)]
    return [{**entry, "resource": resource} if is_meant(entry) else entry for entry in entries]


_EDITS: Mapping[str, Callable[[Json, Scene, Change], None]] = {
    "draft": _draft,
    "renew": _renew,
    "result": _result,
    "circumstances": _circumstances,
    "accept": _accept,
}


def _set(extension: Json, member: str, value: str) -> None:
    """What is empty is left to the service."""
    extension.pop(f"{EXTENSION}.{member}", None)
    if value:
        extension[f"{EXTENSION}.{member}"] = value


def _text(change: Change, name: str) -> str:
    value = change.get(name)
    if not isinstance(value, str):
        raise MalformedError(name, "expected a string")
    return value


def _choice(change: Change, name: str, choices: tuple[str, ...]) -> str:
    value = _text(change, name)
    if value not in choices:
        raise UnsuitableError(name, f"'{value[:40]}' is not one of {', '.join(filter(None, choices))}")
    return value


def _number(change: Change, name: str, *, least: int | None = 0, most: int | None = None) -> Decimal:
    try:
        value = Decimal(_text(change, name).strip().replace(",", "."))
    except InvalidOperation:
        value = Decimal("NaN")
    usable = value.is_finite() and abs(value.adjusted()) <= _LONGEST_NUMBER
    if not usable or (least is not None and value <= least) or (most is not None and value > most):
        raise UnsuitableError(name, f"'{change[name][:40]}' is not a number that can be used here")
    return value


def _date(change: Change, name: str) -> date:
    try:
        return date.fromisoformat(_text(change, name))
    except ValueError:
        raise UnsuitableError(name, f"'{change[name][:40]}' is not a date such as 2024-05-15") from None
