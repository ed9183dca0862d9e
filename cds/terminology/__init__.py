"""Code systems and value sets: which code, in which system, means what. The codes stand in the YAML files beside this."""

from cds.terminology.programme import NOWHERE, ProgrammePlaces, programme_places
from cds.terminology.value_sets import Coding
from cds.terminology.vocabulary import DrugConcept, ObservationKind, Terminology, load_terminology, terminology_with

__all__ = [
    "NOWHERE",
    "Coding",
    "DrugConcept",
    "ObservationKind",
    "ProgrammePlaces",
    "Terminology",
    "load_terminology",
    "programme_places",
    "terminology_with",
]
