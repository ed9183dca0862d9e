"""What is done on the screen, as changes of the request: the order, a result, the circumstances, an accepted suggestion."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from cds import PROTOCOL_IDS
from cds.findings import Correction
from cds.level import Level, Schedule
from cds.terminology import load_terminology
from hooks.circumstances import CARD_PROFILE, EARLIEST_YEAR, LATEST_YEAR, NOW, known_profile, parse_now
from hooks.problems import MalformedError, UnsuitableError
from hooks.sandbox.located import EFFECTIVE, at, drafts, effective, located, reference_of
from hooks.sandbox.renewal import order_of, renewal, rewritten
from hooks.sandbox.scene import Scene
from hooks.wire import EXTENSION, ORDER_SELECT, PATIENT_VIEW, SERVICES, Json, decode, read_request

Change = Mapping[str, Any]

ANSWERS = ("negative", "positive", "indeterminate")
"""What the result of a test may be changed to."""
_SCHEDULES = tuple(schedule.value for schedule in Schedule)
_LONGEST_SUPPLY = 1000
_LONGEST_NUMBER = 30
_DATE_LENGTH = len("2024-05-15")
_MEASURED = re.compile(r"(<=|>=|<|>)?\s*(.*)", re.DOTALL)


def edited(scene: Scene, change: Change) -> Json:
    """The scene's request with one change carried out; what the change does not name stays as it is.

    Raises ``Problem`` for a request that is none, and for a value that cannot be used.
    """
    if scene.fault is not None:
        raise scene.fault
    read_request(scene.request)
    kind = _text(change, "kind")
    if kind not in _EDITS:
        raise UnsuitableError("kind", f"'{kind[:40]}' is not one of {', '.join(_EDITS)}")
    request = deepcopy(dict(scene.request))
    _EDITS[kind](request, scene, change)
    return request


def _draft(request: Json, scene: Scene, change: Change) -> None:
    """Write an order anew with another strength, schedule, supply or start."""
    draft = at(drafts(request), _text(change, "place"))
    before = order_of(draft, scene)
    if before is None:
        raise UnsuitableError("place", "is no draft of lenalidomide")
    dose = _number(change, "strength") if "strength" in change else before.dosing.daily_mg
    schedule = Schedule(_choice(change, "schedule", _SCHEDULES)) if "schedule" in change else before.dosing.schedule
    if dose is None or schedule is None:
        field = "strength" if dose is None else "schedule"
        raise UnsuitableError(field, "is not told by the order yet: choose it first")
    start = _date(change, "start") if "start" in change else None
    corrections = [] if start is None else [Correction("start", start)]
    if "days" in change:
        corrections.append(Correction("days_supply", _whole(change, "days", most=_LONGEST_SUPPLY)))
    changed = rewritten(draft, Level(dose, schedule), corrections, scene)
    after = order_of(changed, scene)
    if start is not None and (after is None or after.bounds_start != start):
        raise UnsuitableError("start", "cannot be written into this order, which tells a duration instead")
    draft.clear()
    draft.update(changed)


def _renew(request: Json, scene: Scene, _: Change) -> None:
    """Draft an order where none is left."""
    request["context"]["draftOrders"] = renewal(scene)


def _result(request: Json, scene: Scene, change: Change) -> None:
    """Another value, answer or day of one result; its unit and its time of day stay."""
    resource = at(located(request, "Observation"), _text(change, "place"))
    if "value" in change:
        _measure(resource, change)
    if "answer" in change:
        coding = dict((scene.client.terminology or load_terminology()).coded_answer(_choice(change, "answer", ANSWERS)))
        resource["valueCodeableConcept"] = {"coding": [coding], "text": coding["display"]}
    if "date" in change:
        before = effective(resource)
        time_of_day = before[_DATE_LENGTH:] if "T" in before else ""
        day = _date(change, "date")
        for name in EFFECTIVE:
            resource.pop(name, None)
        resource["effectiveDateTime"] = f"{day.isoformat()}{time_of_day}"


def _measure(resource: Json, change: Change) -> None:
    """A number, or a bound such as ``<0.3``."""
    quantity = resource.get("valueQuantity")
    if not isinstance(quantity, dict):
        raise UnsuitableError("value", "this result is no number")
    found = _MEASURED.fullmatch(_text(change, "value").strip())
    assert found is not None
    quantity["value"] = _number({"value": found[2]}, "value", least=None)
    quantity.pop("comparator", None)
    if found[1]:
        quantity["comparator"] = found[1]


def _circumstances(request: Json, scene: Scene, change: Change) -> None:
    """Hook, protocol, card profile and now."""
    if "protocol" in change:
        _set(request, "protocol", _choice(change, "protocol", ("", *PROTOCOL_IDS)))
    if "profile" in change:
        _set(request, CARD_PROFILE, known_profile(_text(change, "profile")))
    if "now" in change:
        now = parse_now(_text(change, "now"), scene.client.time_zone, "now")
        _set(request, NOW, now.isoformat(timespec="seconds"))
    if "hook" in change:
        _call(request, _choice(change, "hook", tuple(SERVICES.values())), scene, change)


def _call(request: Json, hook: str, scene: Scene, change: Change) -> None:
    """Another hook has another context; one that needs an order takes back the one that was there, or drafts one."""
    context = request["context"]
    request["hook"] = hook
    context.pop("selections", None)
    if hook == PATIENT_VIEW:
        context.pop("draftOrders", None)
    elif "draftOrders" not in context:
        context["draftOrders"] = _earlier_drafts(change) or renewal(scene)
    if hook == ORDER_SELECT:
        context["selections"] = [
            reference_of(draft) for _, draft in drafts(request) if draft.get("resourceType") == "MedicationRequest"
        ]


def _earlier_drafts(change: Change) -> object:
    """The draft orders of the request before a hook without any was chosen."""
    earlier = decode(_text(change, "earlier")) if change.get("earlier") else {}
    context = earlier.get("context") if isinstance(earlier, dict) else None
    return context.get("draftOrders") if isinstance(context, dict) else None


def _accept(request: Json, scene: Scene, change: Change) -> None:
    """Carry out the actions of a suggestion of the response."""
    offered = {
        (card.get("uuid"), suggestion.get("uuid")): suggestion["actions"]
        for card in scene.cards
        for suggestion in card.get("suggestions", [])
    }
    actions = offered.get((_text(change, "card"), _text(change, "suggestion")))
    if actions is None:
        raise UnsuitableError("suggestion", "is not one of the response's")
    context = request["context"]
    bundle = context.setdefault("draftOrders", {"resourceType": "Bundle", "type": "collection"})
    for action in actions:
        bundle["entry"] = _acted(bundle.get("entry", []), action)
    if "selections" in context:
        left = {reference_of(draft) for _, draft in drafts(request)}
        context["selections"] = [selection for selection in context["selections"] if selection in left]


def _acted(entries: list[Any], action: Json) -> list[Any]:
    resource = action.get("resource", {})
    if action["type"] == "create":
        return [*entries, {"resource": {**resource, "id": resource.get("id", f"accepted-{len(entries) + 1}")}}]
    target = action.get("resourceId") or reference_of(resource)
    targets = {target} if isinstance(target, str) else set(target)

    def is_meant(entry: object) -> bool:
        drawn = entry.get("resource") if isinstance(entry, dict) else None
        return isinstance(drawn, dict) and reference_of(drawn) in targets

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


def _set(request: Json, member: str, value: str) -> None:
    """What is empty is left to the service."""
    extension = {**(request.get("extension") or {})}
    extension.pop(f"{EXTENSION}.{member}", None)
    if value:
        extension[f"{EXTENSION}.{member}"] = value
    request["extension"] = extension


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


def _whole(change: Change, name: str, *, most: int) -> int:
    value = _number(change, name)
    if value > most or value != value.to_integral_value():
        raise UnsuitableError(name, f"'{change[name][:40]}' is not a whole number up to {most}")
    return int(value)


def _number(change: Change, name: str, *, least: int | None = 0) -> Decimal:
    try:
        value = Decimal(_text(change, name).strip().replace(",", "."))
    except InvalidOperation:
        value = Decimal("NaN")
    usable = value.is_finite() and abs(value.adjusted()) <= _LONGEST_NUMBER
    if not usable or (least is not None and value <= least):
        raise UnsuitableError(name, f"'{change[name][:40]}' is not a number that can be used here")
    return value


def _date(change: Change, name: str) -> date:
    try:
        day = date.fromisoformat(_text(change, name))
    except ValueError:
        day = date.min
    if not EARLIEST_YEAR <= day.year <= LATEST_YEAR:
        raise UnsuitableError(name, f"'{change[name][:40]}' is not a date such as 2024-05-15")
    return day
