"""Code systems and value sets: which code, in which system, means what. The codes stand in the YAML files beside this."""

from cds.terminology.value_sets import Coding
from cds.terminology.vocabulary import DrugConcept, ObservationKind, Terminology, load_terminology

__all__ = [
    "Coding",
    "DrugConcept",
    "ObservationKind",
    "Terminology",
    "load_terminology",
]
