"""Whose resource it is, and which Medication a reference means."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from cds.facts import fact
from cds.fhir.primitives import Json, UnreadableError, contained, mapping, text
from cds.snapshot import Fault


@fact(frozen=True, slots=True)
class Found:
    """A resource of the request and the ``fullUrl`` it came with."""

    resource: Json
    full_url: str = ""


class PatientIdentity:
    """Recognises references to one patient: relative, absolute on the same server, versioned, or ``urn:uuid:``."""

    def __init__(self, patient_id: str, found: Iterable[Found], fhir_server: str | None) -> None:
        self._id = patient_id
        mine = [item.full_url for item in found if item.full_url and self.is_patient(item.resource)]
        bases = {url: _base(url.rsplit("/Patient/", 1)[0]) for url in mine if "/Patient/" in url}
        # Where the request names its server, an entry from another one is another patient.
        self._bases = {_base(fhir_server)} if fhir_server else set(bases.values())
        # References that are known to mean this patient: a request repeats the same one over and over.
        self._mine = {url for url in mine if url not in bases or bases[url] in self._bases}

    def check(self, reference: object, element: str) -> None:
        """Raise unless the reference means this patient."""
        target = text(mapping(reference).get("reference"))
        if not target:
            raise UnreadableError(f"{element} names no patient")
        if not self._means_patient(target):
            raise UnreadableError(f"{element} is another patient", Fault.FOREIGN)

    def is_another(self, reference: object) -> bool:
        """Whether the reference means somebody else; one that names nobody does not."""
        target = text(mapping(reference).get("reference"))
        return bool(target) and not self._means_patient(target)

    def is_patient(self, resource: Json) -> bool:
        """Whether a Patient resource is this patient's."""
        return resource.get("resourceType") == "Patient" and resource.get("id") == self._id

    def _means_patient(self, target: str) -> bool:
        if target in self._mine:
            return True
        means = target == f"urn:uuid:{self._id}" or self._is_at_home(target)
        if means:
            self._mine.add(target)
        return means

    def _is_at_home(self, target: str) -> bool:
        """Whether a reference ends in the patient's id and lies on the server the request speaks of."""
        head, _, tail = target.split("/_history/", 1)[0].rpartition("Patient/")
        if tail != self._id:
            return False
        # Ids are unique per server only.
        return not head or not self._bases or _base(head) in self._bases


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.netloc.casefold()}{parts.path.rstrip('/')}"


class Medications:
    """Medication resources by every name a reference may use."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._by_name: dict[str, Json] = {}
        for item in found:
            resource = item.resource
            if resource.get("resourceType") == "Medication":
                identifier = text(resource.get("id"))
                for name in (item.full_url, f"Medication/{identifier}" if identifier else "", f"urn:uuid:{identifier}"):
                    if name:
                        self._by_name.setdefault(name, resource)

    def resolve(self, reference: str, holder: Json) -> Json | None:
        """The Medication a reference means: contained in its holder, or anywhere in the request."""
        if reference.startswith("#"):
            return contained(holder, reference)
        plain = reference.split("/_history/", 1)[0]
        return self._by_name.get(plain) or self._by_name.get("/".join(plain.rsplit("/", 2)[-2:]))
