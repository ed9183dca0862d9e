"""Where the resources of a request stand in it, so that one of them can be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hooks.problems import UnsuitableError
from hooks.wire import Json


def located(request: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Json]]:
    """The resources of one kind in the prefetch, each with its place: ``counts/3``, or ``patient`` for one by itself."""
    prefetch = request.get("prefetch")
    for key, value in prefetch.items() if isinstance(prefetch, dict) else ():
        for place, resource in _resources(key, value):
            if resource.get("resourceType") == kind:
                yield place, resource


def at(request: Mapping[str, Any], place: str) -> Json:
    """The resource at a place. Raises UnsuitableError where there is none."""
    prefetch = request.get("prefetch")
    for key, value in prefetch.items() if isinstance(prefetch, dict) else ():
        for named, resource in _resources(key, value):
            if named == place:
                return resource
    raise UnsuitableError("place", f"'{place[:80]}' is no resource of the prefetch")


def drafts(request: Mapping[str, Any]) -> list[Json]:
    """The resources of the draft orders."""
    context = request.get("context")
    bundle = context.get("draftOrders") if isinstance(context, dict) else None
    return [resource for _, resource in _resources("draftOrders", bundle)]


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
