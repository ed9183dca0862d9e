"""Where two JSON documents differ, and where one holds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Changes = dict[str, tuple[Any, Any]]


def changes(before: object, after: object) -> Changes:
    """Old and new value by path, such as ``dispenseRequest.quantity.value``; None for what is not there."""
    return dict(_changes(before, after, ""))


def voids(value: object, path: str = "") -> Iterator[str]:
    """Where a document holds null, an empty string, list or object."""
    if value is None or value in ("", [], {}):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from voids(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from voids(item, f"{path}[{index}]")


def _changes(before: object, after: object, path: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _changes(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old, new = (side[index] if index < len(side) else None for side in (before, after))
            yield from _changes(old, new, f"{path}[{index}]")
    elif before != after:
        yield path, (before, after)
