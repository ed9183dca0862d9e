"""Pages of a FHIR search: what a page holds, what follows it, and all of them as one Bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hooks.fetch_failures import Failure
from hooks.wire import Json

# The readers descend into resources; FHIR's own nest about ten deep.
_DEEPEST = 100
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BESIDE = ("include", "outcome")
ANY_KIND = ""
"""Of a Bundle that holds several kinds of resources."""


def next_link(page: Mapping[str, Any]) -> object:
    """The URL of the page that follows, whatever stands there; None where none does."""
    links = page.get("link")
    for link in links if isinstance(links, list) and page.get("resourceType") == "Bundle" else []:
        if isinstance(link, Mapping) and link.get("relation") == "next":
            return link.get("url", "")
    return None


def merged(pages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """All pages as one: the first, with the entries of the others, and a ``next`` link only where the last has one."""
    first, last = pages[0], pages[-1]
    if len(pages) == 1:
        return first
    links = [link for link in _listed(first.get("link")) if not _is_next(link)]
    links += [link for link in _listed(last.get("link")) if _is_next(link)]
    entries = [entry for page in pages for entry in _listed(page.get("entry"))]
    return {**first, "entry": entries, "link": links}


def broken_off(bundle: Mapping[str, Any], failure: Failure) -> Json:
    """A Bundle that says why it does not hold all; its ``next`` link has had its try."""
    links = [link for link in _listed(bundle.get("link")) if not _is_next(link)]
    told = {"resource": failure.outcome, "search": {"mode": "outcome"}}
    return {**bundle, "entry": [*_listed(bundle.get("entry")), told], "link": links}


def only_of_kind(kind: str, page: Json) -> Json:
    """The page without matches of other kinds; where there were any, it says that it is not what was asked for."""
    if kind == ANY_KIND:
        return page
    entries = page.get("entry", [])
    kept = [entry for entry in entries if _belongs(entry, kind)]
    if len(kept) == len(entries):
        return page
    told = {"resource": Failure.OTHER_RESOURCE.outcome, "search": {"mode": "outcome"}}
    return {**page, "entry": [*kept, told]}


def is_nested_too_deeply(body: bytes) -> bool:
    """Whether valid JSON nests deeper than can be read."""
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > _DEEPEST:
            return True
    return False


def _belongs(entry: object, kind: str) -> bool:
    """What cannot be read stays, and is named where it is read."""
    resource = entry.get("resource") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(resource, Mapping):
        return True
    search = entry.get("search")
    mode = search.get("mode") if isinstance(search, Mapping) else None
    return resource.get("resourceType") in (kind, "OperationOutcome") or mode in _BESIDE


def _is_next(link: object) -> bool:
    return isinstance(link, Mapping) and link.get("relation") == "next"


def _listed(raw: object) -> list[Any]:
    return raw if isinstance(raw, list) else []
