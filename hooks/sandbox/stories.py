"""The patients one can pick: bundled requests, each with a story."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cds.strict_yaml import KnowledgeError, load


@dataclass(frozen=True)
class Story:
    """A bundled request: ``id`` as an address names it, ``request`` its file below ``fhir_fixtures/requests``."""

    id: str
    request: str
    group: str
    title: str
    story: str

    def text(self) -> str:
        """The request as it is sent."""
        return (files("fhir_fixtures") / "requests" / self.request).read_text(encoding="utf-8")


@cache
def stories() -> dict[str, Story]:
    """All stories by id, in the order of the list. Raises KnowledgeError for a list that cannot be read."""
    problems: list[str] = []
    content = load(files("fhir_fixtures") / "stories.yaml", problems)
    if problems:
        raise KnowledgeError(problems)
    return {entry["id"]: Story(**entry) for entry in content["stories"]}
