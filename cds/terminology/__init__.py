"""Code systems and value sets: which code, in which system, means what. The codes stand in the YAML files beside this."""

from cds.terminology.value_sets import CodeIndex, Coding, system_key
from cds.terminology.vocabulary import DrugConcept, ObservationKind, Terminology, load_terminology

__all__ = [
    "CodeIndex",
    "Coding",
    "DrugConcept",
    "ObservationKind",
    "Terminology",
    "load_terminology",
    "system_key",
]
