"""Area eligibility: hepatitis and HIV, from diagnoses and laboratory tests."""

from __future__ import annotations

from collections.abc import Sequence

from cds.case import Case
from cds.findings import Evidence, Indicator
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact, Result
from cds.words import capital, listed, of_record, of_result, on

_ANTIGEN_OR_VIRUS = ("hbsag", "hbv-dna", "hcv-rna")
_VIRAL_LOADS = ("hbv-dna", "hcv-rna")
_PAST_INFECTION = ("anti-hcv",)
_CORE_ANTIBODY, _HIV = "anti-hbc", "hiv"
_HEPATITIS = ("hepatitis-b", "hepatitis-c")
_NAMES = {"hbsag": "HBsAg", "hbv-dna": "HBV DNA", "hcv-rna": "HCV RNA", "anti-hcv": "anti-HCV", "anti-hbc": "anti-HBc"}


@rule(
    "eligibility.hepatitis",
    "Hepatitis B or C: {eligibility.hepatitis_advice}.[ Also known past infection: {eligibility.past_hepatitis}.] Only anti-HBc "
    "positive: {eligibility.anti_hbc}.",
    cites=("eligibility.hepatitis_advice", "eligibility.past_hepatitis", "eligibility.anti_hbc"),
    sources=("F 5.8", "F 6.2"),
)
def hepatitis(case: Case) -> Report | None:
    """Hepatitis B or C that is active, or that the protocol counts though it is past."""
    limits = case.protocol.eligibility
    past = limits.past_hepatitis is not None and limits.past_hepatitis.value
    tests = _positive(case, *_ANTIGEN_OR_VIRUS, *(_PAST_INFECTION if past else ()))
    recorded = case.conditions_ever(*_HEPATITIS) if past else case.conditions_now(*_HEPATITIS)
    if tests or recorded:
        return Report(
            Indicator.WARNING,
            f"{_what(case, tests, recorded)}: {limits.hepatitis_advice.value}",
            "Hepatitis B can be reactivated, with liver failure.",
            _evidence(tests, recorded),
            found_before=_was_known(case, tests, recorded),
        )
    antibodies = _positive(case, _CORE_ANTIBODY)
    if not antibodies:
        return None
    return Report(
        Indicator(limits.anti_hbc.value),
        f"{_what(case, antibodies, ())}: past hepatitis B can be reactivated",
        "Follow HBsAg and HBV DNA; ask a hepatologist about prophylaxis.",
        _evidence(antibodies, ()),
        found_before=_was_known(case, antibodies, ()),
    )


@rule(
    "eligibility.hiv",
    "HIV infection is outside this protocol: {eligibility.hiv}.",
    cites=("eligibility.hiv",),
    applies=lambda protocol: protocol.eligibility.hiv is not None,
)
def hiv(case: Case) -> Report | None:
    """HIV infection, from a diagnosis or a positive test."""
    stance = case.protocol.eligibility.hiv
    tests = _positive(case, _HIV)
    recorded = case.conditions_ever(_HIV)
    if stance is None or not (tests or recorded):
        return None
    return Report(
        Indicator(stance.value),
        f"HIV infection: {case.protocol.id} excludes it",
        "Consider another protocol.",
        _evidence(tests, recorded),
        found_before=_was_known(case, tests, recorded),
    )


def _positive(case: Case, *tokens: str) -> list[Result]:
    """The latest result of each test, where it is positive; a preliminary one only against the patient."""
    found = []
    for token in tokens:
        counted = [result for result in case.snapshot.of(token) if _is_positive(result) or not result.only_against]
        of_the_day = [result for result in counted if result.day == counted[-1].day]
        found += [result for result in of_the_day if _is_positive(result)][:1]
    return found


def _is_positive(result: Result) -> bool:
    if result.answer is not None:
        return result.answer == "positive"
    measured = result.measurement
    # The number of an antigen or antibody test is nothing without the laboratory's own cut-off; a viral load is.
    return (
        result.token in _VIRAL_LOADS
        and measured is not None
        and measured.comparator not in {"<", "<="}
        and measured.value > 0
    )


def _what(case: Case, tests: Sequence[Result], recorded: Sequence[ConditionFact]) -> str:
    said = [f"{_NAMES[result.token]} positive ({on(result.day, case.today)})" for result in tests]
    said += [f"{item.name} ({on(item.day, case.today)})" for item in recorded]
    return capital(listed(list(dict.fromkeys(said))))


def _was_known(case: Case, tests: Sequence[Result], recorded: Sequence[ConditionFact]) -> bool:
    return case.was_known(*(result.day for result in tests), *(item.recorded or item.onset for item in recorded))


def _evidence(tests: Sequence[Result], recorded: Sequence[ConditionFact]) -> tuple[Evidence, ...]:
    return (*(of_result(result) for result in tests), *(of_record(item) for item in recorded))


RULES = (hepatitis, hiv)
