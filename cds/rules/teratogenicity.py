"""Area teratogenicity: pregnancy, breastfeeding, and who can become pregnant."""

from __future__ import annotations

from datetime import date

from cds import protocol_areas as areas
from cds.case import Case
from cds.findings import Action, Evidence, Indicator, Outcome
from cds.pregnancy import BREASTFEEDING, Record, Verdict
from cds.reproduction import ABLE, PRESUMED_NOT_ABLE
from cds.rules.rule import Report, rule
from cds.snapshot import ConditionFact, Fault, Result, Unread
from cds.words import amount, of_record, of_result, of_unread, on

PREGNANCY_TEST = ("pregnancy-test",)


@rule(
    "teratogenicity.pregnant",
    "Lenalidomide is contraindicated in pregnancy: a recorded pregnancy, or a delivery date to come. One recorded "
    "without a clinical status counts when it is {pregnancy.record_counts} old. A possible pregnancy waits for a negative test.",
    cites=("pregnancy.record_counts", "pregnancy.reported_to"),
    sources=(
        "F boxed warning",
        "F 4.1",
        "F 8.1",
        "S4 6.1",
        "S0 exclusion criteria",
        "S1 eligibility",
        "S2 exclusion criteria",
    ),
    needs_draft=False,
)
def pregnant(case: Case) -> Report | None:
    """A pregnancy that is recorded, or possible."""
    found = case.pregnancy.pregnancies
    if case.treatment_is_over:
        return None
    if found:
        male = " The patient is recorded as male: check the identity." if case.reproductive_class.male else ""
        return Report(
            Indicator.CRITICAL,
            f"Stop lenalidomide: pregnancy recorded{_named(found[0], case)}",
            "Contraindicated. Refer to an obstetrician experienced in reproductive toxicity; report any exposure to "
            f"{case.protocol.pregnancy.reported_to.value}.{male}",
            tuple(_evidence(record) for record in found),
            Action.DISCONTINUE,
            alone=True,
        )
    if not case.pregnancy.possible or not case.reproductive_class.able:
        return None if case.reproductive_class.male else _unread(case)
    record = case.pregnancy.possible[0]
    return Report(
        Indicator.CRITICAL,
        f"Hold lenalidomide: pregnancy possible{_named(record, case)}",
        f"{_could_not_be_read(record)}Test now; a negative test settles it.",
        tuple(_evidence(item) for item in case.pregnancy.possible),
        Action.HOLD,
        PREGNANCY_TEST,
    )


def _unread(case: Case) -> Report | None:
    """What was or may have been said of pregnancy or breastfeeding and is not known, though it need not hold treatment."""
    able, supply = case.reproductive_class.able, case.snapshot.supplied("Condition")
    found = [
        record
        for record in case.pregnancy.unread
        if able or not (record.token in BREASTFEEDING or record.fault is Fault.WORDS)
    ]
    if not found:
        if supply.proves_absence or not able:
            return None
        return Report(
            Indicator.WARNING,
            f"Pregnancy not excluded by the record: diagnoses {supply.value}",
            "Ask, and look into the record.",
            outcome=Outcome.UNKNOWN,
        )
    return Report(
        Indicator.WARNING,
        f"Pregnancy or breastfeeding: an entry could not be read ({on(found[0].day, case.today)})",
        f"{_could_not_be_read(found[0])}Read it in the record.",
        tuple(_evidence(record) for record in found),
    )


@rule(
    "teratogenicity.positive-test",
    "A positive pregnancy test, or hCG {pregnancy.hcg_positive}, stops lenalidomide. hCG that is not {pregnancy.hcg_negative} "
    "holds it until the test is repeated; so does one negative test after a positive one in the last "
    "{pregnancy.positive_needs_two_negatives.amount}.",
    cites=("pregnancy.hcg_positive", "pregnancy.hcg_negative", "pregnancy.positive_needs_two_negatives"),
    sources=("F 4.1", "F 8.3"),
    needs_draft=False,
)
def positive_test(case: Case) -> Report | None:
    """The latest pregnancy test is positive or indeterminate, or contradicts the one before."""
    test, who = case.pregnancy.latest, case.reproductive_class
    if test is None or case.treatment_is_over:
        return None
    said, evidence = f"{_said(test.result)}({on(test.day, case.today)})", (of_result(test.result),)
    positive = test.verdict is Verdict.POSITIVE
    if who.male:
        return _in_a_man(said, evidence) if positive else None
    if not who.able and not case.protocol.pregnancy.record_counts.holds((case.today - test.day).days):
        return None
    if positive:
        return _positive(case, said, evidence)
    if test.verdict is Verdict.INDETERMINATE:
        return _indeterminate(case, said, evidence)
    earlier = case.pregnancy.unsettled_positive(case.protocol, case.today)
    if earlier is None:
        return None
    return Report(
        Indicator.WARNING,
        f"Hold lenalidomide: pregnancy test positive {on(earlier.day, case.today)}, negative {on(test.day, case.today)}",
        "Serum test on another day. Negative again: confirm that there is no pregnancy, and go on. Positive: stop.",
        (of_result(earlier.result), *evidence),
        Action.HOLD,
        PREGNANCY_TEST,
    )


def _positive(case: Case, said: str, evidence: tuple[Evidence, ...]) -> Report:
    who = case.reproductive_class
    unlikely = "" if who.able else f" Recorded as {who.why}: look for another cause too."
    return Report(
        Indicator.CRITICAL,
        f"Stop lenalidomide: pregnancy test positive {said}",
        f"Confirm with a serum test and refer; report any exposure to {case.protocol.pregnancy.reported_to.value}.{unlikely}",
        evidence,
        Action.DISCONTINUE,
        PREGNANCY_TEST,
        alone=True,
    )


def _in_a_man(said: str, evidence: tuple[Evidence, ...]) -> Report:
    return Report(
        Indicator.WARNING,
        f"Pregnancy test positive in a man {said}",
        "Check the patient's identity and look for another cause, a tumour for one.",
        evidence,
    )


def _indeterminate(case: Case, said: str, evidence: tuple[Evidence, ...]) -> Report:
    if case.reproductive_class.able:
        return Report(
            Indicator.CRITICAL,
            f"Hold lenalidomide: pregnancy test neither negative nor positive {said}",
            "Repeat a serum test; it must be negative before lenalidomide.",
            evidence,
            Action.HOLD,
            PREGNANCY_TEST,
        )
    return Report(
        Indicator.WARNING,
        f"Pregnancy test neither negative nor positive {said}",
        f"Recorded as {case.reproductive_class.why}: hCG of the pituitary is common after menopause. Repeat the test.",
        evidence,
        order_tests=PREGNANCY_TEST,
    )


@rule(
    "teratogenicity.lactation",
    "Breastfeeding during treatment: {pregnancy.breastfeeding}. A record that gives no status counts when it is "
    "{pregnancy.breastfeeding_counts} old.",
    cites=("pregnancy.breastfeeding", "pregnancy.breastfeeding_counts"),
    needs_draft=False,
)
def lactation(case: Case) -> Report | None:
    """Breastfeeding now."""
    found = case.pregnancy.breastfeeding
    if not found or case.treatment_is_over:
        return None
    evidence, when = tuple(_evidence(record) for record in found), on(found[0].day, case.today)
    if case.protocol.pregnancy.breastfeeding.value == areas.HOLD:
        return Report(
            Indicator.CRITICAL,
            f"Hold lenalidomide: breastfeeding recorded ({when})",
            "Not to be taken while breastfeeding: stop breastfeeding first, or do not treat.",
            evidence,
            Action.HOLD,
        )
    return Report(
        Indicator.WARNING,
        f"Breastfeeding recorded ({when})",
        "Advise not to breastfeed during treatment.",
        evidence,
    )


@rule(
    "teratogenicity.frp",
    "Unless shown otherwise a woman can become pregnant ({reproduction.family} definitions). Excluded by hysterectomy or removal "
    "of both ovaries, and by natural menopause {reproduction.menopause_months} ago in a woman {reproduction.menopause_age} old; "
    "presumed past it when {reproduction.presumed_age} old. Tubal ligation is contraception.",
    cites=(
        "reproduction.menopause_months",
        "reproduction.menopause_age",
        "reproduction.presumed_age",
        "reproduction.family",
    ),
    sources=("F 8.3",),
)
def class_of_patient(case: Case) -> Report | None:
    """Whether the patient can become pregnant, and what that rests on."""
    found = case.reproductive_class
    if found.value not in {ABLE, PRESUMED_NOT_ABLE}:
        return None
    when = "" if found.basis is None else f" ({on(found.basis.day, case.today)})"
    evidence = (
        Evidence(
            "reproductive-class", found.value, None, None if found.basis is None else found.basis.day, found.reference
        ),
    )
    if found.value == PRESUMED_NOT_ABLE:
        return Report(
            Indicator.INFO,
            f"Presumed past menopause: {found.why}",
            f"Confirm the category of the {case.protocol.programme}.",
            evidence,
        )
    return Report(
        Indicator.WARNING if found.undocumented else Indicator.INFO,
        f"Counts as able to become pregnant: {found.why}{when}",
        "Record what excludes pregnancy, if anything does." if found.undocumented else "",
        evidence,
    )


def _said(result: Result) -> str:
    return f"with hCG {amount(result)} " if result.measurement is not None else ""


def _named(record: Record, case: Case) -> str:
    """What is recorded and when, as it goes on after "pregnancy recorded"."""
    when = on(record.day, case.today)
    match record:
        case ConditionFact():
            return f" ({when})" if record.token == "pregnancy" else f" ({record.name}, {when})"
        case Result(told=date()):
            return f" (delivery expected {on(record.told, case.today)})"
        case Result():
            return f" (pregnancy status, {when})"
        case _:
            return f" (an entry of {when} could not be read)" if record.day else " (an entry could not be read)"


def _could_not_be_read(record: Record) -> str:
    return f"{record.reference}: {record.why}. " if isinstance(record, Unread) else ""


def _evidence(record: Record) -> Evidence:
    match record:
        case ConditionFact():
            return of_record(record)
        case Result():
            return of_result(record)
        case _:
            return of_unread(record)


RULES = (pregnant, positive_test, lactation, class_of_patient)
