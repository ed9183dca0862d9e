"""Where the resources of a request stand in it, so that one of them can be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hooks.problems import UnsuitableError
from hooks.wire import Json

EFFECTIVE = ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "effectiveTiming")
"""The members that say when an Observation was made."""
_DRAFTS = "draftOrders"


def located(request: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Json]]:
    """The resources of one kind in the prefetch, each with its place: ``counts/3``, or ``patient`` for one by itself."""
    prefetch = request.get("prefetch")
    for key, value in prefetch.items() if isinstance(prefetch, dict) else ():
        yield from (found for found in _resources(key, value) if found[1].get("resourceType") == kind)


def drafts(request: Mapping[str, Any]) -> list[tuple[str, Json]]:
    """The resources of the draft orders, each with its place: ``draftOrders/0``."""
    context = request.get("context")
    return list(_resources(_DRAFTS, context.get(_DRAFTS) if isinstance(context, dict) else None))


def at(found: Iterator[tuple[str, Json]] | list[tuple[str, Json]], place: str) -> Json:
    """The resource at a place. Raises UnsuitableError where there is none."""
    for named, resource in found:
        if named == place:
            return resource
    raise UnsuitableError("place", f"'{place[:80]}' is not a place in this request")


def reference_of(resource: Mapping[str, Any]) -> str:
    """``MedicationRequest/draft-1``."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def effective(resource: Mapping[str, Any]) -> str:
    """When an Observation was made, as it says it; of a period the beginning."""
    for name in EFFECTIVE:
        value = resource.get(name)
        start = value.get("start") if isinstance(value, dict) else value
        if isinstance(start, str):
            return start
    return ""


def _resources(key: str, value: object) -> Iterator[tuple[str, Json]]:
    if not isinstance(value, dict):
        return
    entries = value.get("entry")
    if value.get("resourceType") != "Bundle":
        yield key, value
    elif isinstance(entries, list):
        for index, entry in enumerate(entries):
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict):
                yield f"{key}/{index}", resource
