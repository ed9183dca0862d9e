"""Where a finding's rule stands: documents and places, as a card prints them."""

from __future__ import annotations

from dataclasses import dataclass

from cds.findings import Finding
from cds.protocol import Protocol

NO_DOCUMENT = {"[policy]": "policy of this service", "[unverified]": "not verified in a source"}
"""The honest words for a number that stands in no source."""


@dataclass(frozen=True)
class Citation:
    """A document, or the honest word for having none, and the places in it."""

    document: str
    places: tuple[str, ...] = ()
    url: str | None = None

    def __str__(self) -> str:
        return f"{self.document} {', '.join(self.places)}".strip()


def citations(finding: Finding, protocol: Protocol) -> tuple[Citation, ...]:
    """The protocol's own documents if the rule stands there, else wherever it was taken from."""
    own = [cite for cite in finding.sources if cite.partition(" ")[0] in protocol.sources]
    candid = [cite for cite in finding.sources if cite in NO_DOCUMENT]
    cited: dict[str, Citation] = {}
    for citation in [*own, *candid] if own and finding.inherited_from is None else finding.sources:
        found = _cited(citation, protocol)
        before = cited.get(found.document, Citation(found.document))
        cited[found.document] = Citation(
            found.document, tuple(dict.fromkeys((*before.places, *found.places))), found.url
        )
    return tuple(cited.values())


def _cited(citation: str, protocol: Protocol) -> Citation:
    """An unread document is not cited as if it had been."""
    source, _, place = citation.partition(" ")
    document = protocol.documents.get(source)
    if document is None:
        return Citation(NO_DOCUMENT.get(citation, citation))
    if document.checked == "not yet":
        return Citation(f"{document.short} (not verified)", url=document.url)
    return Citation(document.short, (place,), document.url)
