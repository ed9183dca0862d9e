"""Where a record shows that a patient or an order is in the pregnancy-prevention programme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cds.strict_yaml import KnowledgeError


@dataclass(frozen=True)
class ProgrammePlaces:
    """Identifier systems, extension URLs, and ``system|code`` of flags."""

    identifiers: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()

    def with_local(self, local: ProgrammePlaces) -> ProgrammePlaces:
        """These places and a hospital's own."""
        return ProgrammePlaces(
            self.identifiers | local.identifiers, self.extensions | local.extensions, self.flags | local.flags
        )


NOWHERE = ProgrammePlaces()
"""No places of a hospital's own."""


def programme_places(raw: Mapping[str, Any], file: str) -> ProgrammePlaces:
    """The places a file lists; ``KnowledgeError`` lists all that is wrong with it."""
    known = [field.name for field in fields(ProgrammePlaces)]
    problems = [f"{file}: {key}: is none of {', '.join(known)}" for key in raw if key not in known]
    listed = {name: raw.get(name, []) for name in known}
    for name, entries in listed.items():
        if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
            problems.append(f"{file}: {name}: expected a list of texts")
        elif name == "flags":
            problems += [f"{file}: flags: '{entry}' is not system|code" for entry in entries if entry.count("|") != 1]
    if problems:
        raise KnowledgeError(problems)
    return ProgrammePlaces(**{name: frozenset(entries) for name, entries in listed.items()})
