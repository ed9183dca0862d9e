"""A hospital's own codes: a file beside ours that adds code systems, and codes to the entries that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from cds.strict_yaml import KnowledgeError

_SYSTEMS = "systems"
_JUDGED_DRUG = "lenalidomide"
# Where in an entry its codes stand.
_CODES = {
    "observations": "codes",
    "answers": "codes",
    "conditions": "codes",
    "procedures": "codes",
    "devices": "codes",
    "drugs": "ingredient",
}
_LOOKED_UP_TOGETHER: Mapping[str, tuple[str, ...]] = {
    "conditions": ("conditions", "indications", "reactions"),
    "answers": ("answers", "responses"),
}

Owner = Callable[[str, str, str], str | None]
"""Section, key of the code system and code: the token that has this code already."""


def with_local_codes(raw: Mapping[str, Any], local: Mapping[str, Any], file: str, owner: Owner) -> dict[str, Any]:
    """The terminology files with a hospital's codes added; ``KnowledgeError`` lists all that is wrong with its file.

    ``local``: ``systems: {key: URI}``, and for each section ``token: {key of the system: {code: display}}``.
    """
    merged = deepcopy(dict(raw))
    problems = [
        f"{file}: {key}: is none of {', '.join((_SYSTEMS, *_CODES))}" for key in local if key not in {_SYSTEMS, *_CODES}
    ]
    problems += _add_systems(merged, local.get(_SYSTEMS, {}), file)
    for section in _CODES:
        problems += _add_codes(merged, section, local.get(section, {}), file, owner)
    if problems:
        raise KnowledgeError(problems)
    return merged


def _add_systems(merged: dict[str, Any], systems: object, file: str) -> Iterator[str]:
    if not isinstance(systems, Mapping):
        yield f"{file}: {_SYSTEMS}: expected a mapping of names to URIs"
        return
    ours = {
        uri.rstrip("/").casefold(): key
        for key, entry in merged[_SYSTEMS].items()
        for uri in (entry["uri"], *entry.get("also", []))
    }
    for key, uri in systems.items():
        if key in merged[_SYSTEMS]:
            yield f"{file}: {_SYSTEMS}: {key}: is a name that this version uses itself"
        elif not isinstance(uri, str) or ":" not in uri:
            yield f"{file}: {_SYSTEMS}: {key}: expected the URI of a code system"
        elif uri.rstrip("/").casefold() in ours:
            yield f"{file}: {_SYSTEMS}: {key}: {uri} is known already, as {ours[uri.rstrip('/').casefold()]}"
        else:
            merged[_SYSTEMS][key] = {"uri": uri, "local": "true"}
            ours[uri.rstrip("/").casefold()] = key


def _add_codes(merged: dict[str, Any], section: str, entries: object, file: str, owner: Owner) -> Iterator[str]:
    if not isinstance(entries, Mapping):
        yield f"{file}: {section}: expected a mapping of entries"
        return
    taken: dict[tuple[str, str], str] = {}
    files = _LOOKED_UP_TOGETHER.get(section, (section,))
    for token, by_system in entries.items():
        path = f"{file}: {section}: {token}"
        home = next((name for name in files if token in merged[name]), None)
        if home is None:
            known = [name for listed in files for name in merged[listed]]
            close = get_close_matches(token, known, n=1)
            yield f"{path}: is no entry of this version{f'; did you mean {close[0]}?' if close else ''}"
        elif token == _JUDGED_DRUG:
            yield f"{path}: its codes must tell the strength of the capsule, which this file cannot"
        elif not isinstance(by_system, Mapping):
            yield f"{path}: expected code systems with their codes"
        else:
            entry = merged[home][token]
            for system, codes in by_system.items():
                if system not in merged[_SYSTEMS]:
                    yield f"{path}: {system}: is no code system of ours, nor listed under {_SYSTEMS}"
                elif not isinstance(codes, Mapping) or not all(isinstance(display, str) for display in codes.values()):
                    yield f"{path}: {system}: expected codes with what they mean, as in {{CODE: meaning}}"
                else:
                    yield from _clashes(section, token, system, codes, taken, owner, path)
                    entry.setdefault(_CODES[section], {}).setdefault(system, {}).update(codes)


def _clashes(
    section: str,
    token: str,
    system: str,
    codes: Mapping[str, str],
    taken: dict[tuple[str, str], str],
    owner: Owner,
    path: str,
) -> Iterator[str]:
    for code in codes:
        other = owner(section, system, code) or taken.get((system, code))
        if other is not None and other != token:
            yield f"{path}: {system}: {code} already means {other}"
        taken[system, code] = token
