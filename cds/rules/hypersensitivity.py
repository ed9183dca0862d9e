"""Area eligibility: allergy to lenalidomide or one of its analogues."""

from __future__ import annotations

from collections.abc import Sequence

from cds.case import Case
from cds.findings import Action, Evidence, Indicator
from cds.rules.rule import Report, rule
from cds.snapshot import LENALIDOMIDE, AllergyFact
from cds.toxicity import PERMANENT_STOP, RASH
from cds.words import listed

_THALIDOMIDE = "thalidomide"
_SKIN = frozenset({RASH, "erythema-multiforme", *PERMANENT_STOP}) - {"angioedema", "anaphylaxis"}
_IMID, _IF_SEVERE = "imid", "critical if severe"


@rule(
    "eligibility.hypersensitivity",
    "Severe hypersensitivity to lenalidomide, or a severe skin reaction to thalidomide, ends treatment. Hypersensitivity to "
    "lenalidomide that is not severe: {eligibility.mild_hypersensitivity}; to an analogue: "
    "{eligibility.analogue_hypersensitivity}. Severity that is not recorded counts as severe for lenalidomide.",
    cites=("eligibility.mild_hypersensitivity", "eligibility.analogue_hypersensitivity"),
    sources=("F 4.2", "F 5.9", "F 5.15"),
    needs_draft=False,
)
def hypersensitivity(case: Case) -> Report | None:
    """Allergies to the class; what is refuted or entered in error was not read."""
    if case.treatment_is_over:
        return None
    found = [allergy for allergy in case.snapshot.allergies if allergy.drug_class == _IMID]
    stopping = [allergy for allergy in found if _stops(case, allergy)]
    if stopping:
        verb = "Do not start" if case.course.new_start else "Stop"
        return Report(
            Indicator.CRITICAL,
            f"{verb} lenalidomide: {_named(stopping)}",
            "Contraindicated. Do not give it again.",
            tuple(_of_allergy(allergy) for allergy in stopping),
            Action.DISCONTINUE,
        )
    if not found:
        return None
    return Report(
        Indicator.WARNING,
        f"Check before lenalidomide: {_named(found)}",
        "Not recorded as severe. Ask for rash and swelling, and stop at the first sign.",
        tuple(_of_allergy(allergy) for allergy in found),
    )


def _stops(case: Case, allergy: AllergyFact) -> bool:
    limits = case.protocol.eligibility
    if allergy.token == LENALIDOMIDE:
        return allergy.severe is not False or limits.mild_hypersensitivity.value == Indicator.CRITICAL.value
    if allergy.token == _THALIDOMIDE and allergy.severe and _SKIN & set(allergy.manifestations):
        return True
    stance = limits.analogue_hypersensitivity.value
    return stance == Indicator.CRITICAL.value or (stance == _IF_SEVERE and allergy.severe is True)


def _named(allergies: Sequence[AllergyFact]) -> str:
    """``allergy to lenalidomide (severe)``."""
    return f"allergy to {listed(list(dict.fromkeys(f'{item.name} ({_severity(item)})' for item in allergies)))}"


def _severity(allergy: AllergyFact) -> str:
    if allergy.severe is None:
        return "severity not recorded"
    return "severe" if allergy.severe else "not severe"


def _of_allergy(allergy: AllergyFact) -> Evidence:
    return Evidence(f"{allergy.token}-allergy", _severity(allergy), reference=allergy.reference)


RULES = (hypersensitivity,)
