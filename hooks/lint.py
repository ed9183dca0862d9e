"""What in a payload is not valid FHIR R4, for the integrator who debugs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from hooks.problems import Problem
from hooks.wire import decode


def lint_file(path: Path) -> list[str]:
    """Complaints about one file: a resource, a Bundle, or a whole CDS Hooks request."""
    try:
        document = decode(path.read_bytes())
    except Problem as problem:
        return [f"{path}: {problem}"]
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    return [f"{path}: {complaint}" for complaint in lint(document)]


def lint(document: object) -> list[str]:
    """Every resource in a document by itself, so that one bad entry does not hide the others."""
    found = list(_resources(document, ""))
    if not found:
        return ["holds no FHIR resource"]
    return [complaint for place, resource in found for complaint in _lint_resource(place, resource)]


def _resources(value: object, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "resourceType" in value:
            yield place or str(value["resourceType"]), value
        for key, item in value.items():
            if key != "contained":
                yield from _resources(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _resources(item, f"{place}[{index}]")


def _lint_resource(place: str, resource: Mapping[str, Any]) -> list[str]:
    kind = resource["resourceType"]
    # The entries of a Bundle are checked by themselves; what remains is its own frame.
    unchecked = {"entry"} if kind == "Bundle" else set()
    try:
        model = get_fhir_model_class(str(kind))
    except (LookupError, ValueError):
        return [f"{place}: resourceType '{kind}' is not known"]
    try:
        model.model_validate({key: value for key, value in resource.items() if key not in unchecked})
    except ValidationError as error:
        return [f"{place}.{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return []
