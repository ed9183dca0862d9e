"""Area teratogenicity: pregnancy tests before each prescription, contraception, counselling, the programme."""

from __future__ import annotations

from cds.case import Case
from cds.contraception import TUBAL_LIGATION, Contraception, Method
from cds.findings import Action, Evidence, Indicator
from cds.rules import pregnancy_tests
from cds.rules.pregnancy_tests import Wait
from cds.rules.rule import Report, rule
from cds.rules.teratogenicity import PREGNANCY_TEST
from cds.snapshot import Result
from cds.words import listed, on

_MISSED_PERIOD = "Missed period or abnormal bleeding: stop until tested."


@rule(
    "teratogenicity.test-initial",
    "Where pregnancy is possible, before the first prescription: [a negative test {pregnancy.first_test_from.amount} to "
    "{pregnancy.first_test_until.amount} before it, another {pregnancy.second_test} before it][a negative test "
    "{pregnancy.single_first_test} before it, on contraception for {contraception.lead}]. Tests must detect hCG of "
    "{pregnancy.assay_sensitivity.amount} or less.",
    cites=(
        "pregnancy.first_test_from",
        "pregnancy.first_test_until",
        "pregnancy.second_test",
        "pregnancy.single_first_test",
        "pregnancy.assay_sensitivity",
    ),
)
def test_initial(case: Case) -> Report | None:
    """Tests before the first prescription."""
    if not case.reproductive_class.able or not case.course.new_start:
        return None
    wait = pregnancy_tests.before_start(case)
    return None if wait is None else _wait_for_test(case, "Do not start yet", wait)


@rule(
    "teratogenicity.test-ongoing",
    "Where pregnancy is possible, before each prescription: a negative test {pregnancy.per_prescription} before it. On "
    "treatment, interruptions included, tests [{pregnancy.weekly_interval} apart in the first {pregnancy.weekly_period.amount}, "
    "then ]{pregnancy.test_interval} apart[, with irregular cycles {pregnancy.irregular_interval}].[ After a "
    "tubal sterilisation recorded as an operation or a diagnosis no tests on treatment, but the first one: "
    "{pregnancy.tubal_sterilisation_exempt}.]",
    cites=(
        "pregnancy.per_prescription",
        "pregnancy.test_interval",
        "pregnancy.weekly_interval",
        "pregnancy.weekly_period",
        "pregnancy.irregular_interval",
        "pregnancy.tubal_sterilisation_exempt",
    ),
    needs_draft=False,
)
def test_ongoing(case: Case) -> Report | None:
    """Tests before later prescriptions, and on treatment."""
    if not case.reproductive_class.able or case.treatment_is_over or (case.regimen and case.course.new_start):
        return None
    if case.regimen is None:
        return _overdue(case)
    wait = pregnancy_tests.before_prescription(case)
    if wait is None:
        return None
    sterilised = _exempting_sterilisation(case)
    if sterilised is not None and pregnancy_tests.unreadable(case) is None:
        return Report(
            Indicator.INFO,
            f"No pregnancy test needed on treatment: tubal sterilisation ({on(sterilised.since, case.today)})",
            "Confirm that the sterilisation was confirmed.",
            (_of_method(sterilised),),
        )
    return _wait_for_test(case, "Do not renew yet", wait, _MISSED_PERIOD)


def _wait_for_test(case: Case, opening: str, wait: Wait, also: str = "") -> Report:
    short, steps = wait.short, wait.steps
    if case.snapshot.patient is None:
        # It may be a man: the headline says why tests are asked for at all.
        came = case.snapshot.supplied("Patient").value
        short = f"sex and age not known (demographics {came}); if pregnancy is possible, tests are needed"
        steps = f"Look up who the patient is. If pregnancy is possible: {wait.short}. {wait.steps}"
    return Report(
        Indicator.CRITICAL,
        f"{opening}: {short}",
        f"{steps} {also}".strip(),
        wait.evidence,
        Action.DEFER,
        PREGNANCY_TEST,
    )


def _overdue(case: Case) -> Report | None:
    """Without an order being written: whether the next test is due."""
    exempt = _exempting_sterilisation(case) is not None
    wait = pregnancy_tests.unreadable(case) or (None if exempt else pregnancy_tests.on_treatment(case))
    if wait is None:
        return None
    return Report(
        Indicator.WARNING,
        f"Pregnancy test overdue: {wait.short}",
        f"{wait.steps} {_MISSED_PERIOD}",
        wait.evidence,
        order_tests=PREGNANCY_TEST,
    )


def _exempting_sterilisation(case: Case) -> Method | None:
    """A tubal sterilisation that exempts from tests on treatment: recorded, and not only told in an interview."""
    exempts = case.protocol.pregnancy.tubal_sterilisation_exempt
    if exempts is None or not exempts.value:
        return None
    sterilised = case.contraception.uses((TUBAL_LIGATION,))
    return None if sterilised is None or isinstance(sterilised.source, Result) else sterilised


@rule(
    "teratogenicity.contraception",
    "Where pregnancy is possible, one of: {contraception.effective}[; and beside it one of: "
    "{contraception.additional}]; or abstains. From {contraception.lead} before the first dose until "
    "{contraception.tail} after the last; no blood donation until {pregnancy.after_stopping.amount} after it. A report of a "
    "method counts when it is {contraception.report_counts} old.",
    cites=(
        "contraception.effective",
        "contraception.additional",
        "contraception.lead",
        "contraception.tail",
        "contraception.report_counts",
        "contraception.oestrogen",
        "contraception.oestrogen_advice",
        "pregnancy.after_stopping",
    ),
)
def contraception(case: Case) -> Report | None:
    """Contraception that is documented, and for long enough."""
    if not case.reproductive_class.able:
        return None
    found, lead = case.contraception, case.protocol.contraception.lead
    evidence = tuple(_of_method(method) for method in found.methods)
    oestrogen = _about_oestrogen(case)
    if not found.sufficient:
        return Report(
            Indicator.WARNING,
            f"Contraception: {_lacking(case, found)}",
            f"Document it: {_wanted(case)}, from {lead.amount} before the first dose.{oestrogen}",
            evidence,
            order_tests=("contraception-counselling",),
        )
    if case.course.new_start and found.since is None:
        return Report(
            Indicator.WARNING,
            f"Contraception: since when is not recorded ({_names(found.sufficient)})",
            f"Document that it began {lead.amount} before the first dose.{oestrogen}",
            evidence,
        )
    ready = pregnancy_tests.contraception_ready(case)
    if case.course.new_start and ready is not None:
        return Report(
            Indicator.CRITICAL,
            f"Do not start before {on(ready, case.today)}: contraception only since {on(found.since, case.today)}",
            f"{_names(found.sufficient).capitalize()}: {lead.amount} are needed before the first dose. Time the tests to that "
            f"day.{oestrogen}",
            evidence,
            Action.DEFER,
        )
    return Report(Indicator.INFO, "Contraceptive with oestrogen", oestrogen.strip(), evidence) if oestrogen else None


def _lacking(case: Case, found: Contraception) -> str:
    wanted = case.protocol.contraception
    if not found.methods:
        return "none documented"
    risk = " (risk of thrombosis)" if found.uses(wanted.oestrogen.value) else ""
    if wanted.additional is None:
        return f"{_names(found.methods)}{risk} documented, not an accepted method"
    missing = "a barrier" if found.uses(wanted.effective.value) else "a highly effective method"
    return f"{_names(found.methods)}{risk} documented, {missing} is missing"


def _wanted(case: Case) -> str:
    return (
        "one highly effective method and a barrier"
        if case.protocol.contraception.additional
        else "one effective method"
    )


def _names(methods: tuple[Method, ...]) -> str:
    return listed(sorted({method.name for method in methods}))


def _about_oestrogen(case: Case) -> str:
    """D22: it protects from pregnancy and raises the risk of thrombosis, so it is replaced and not just stopped."""
    wanted = case.protocol.contraception
    method = case.contraception.uses(wanted.oestrogen.value)
    if method is None:
        return ""
    advice = wanted.oestrogen_advice.value
    return f" {method.name.capitalize()} on record: {advice}. Do not stop it before another method works."


def _of_method(method: Method) -> Evidence:
    return Evidence("contraception", method.name, None, method.since, method.source.reference)


@rule(
    "teratogenicity.male-counselling",
    "Men use a {pregnancy.condom} {pregnancy.condom_use}, and do not donate sperm; nobody donates blood. During treatment and "
    "interruptions, and until {pregnancy.after_stopping.amount} after stopping.",
    cites=("pregnancy.condom", "pregnancy.condom_use", "pregnancy.after_stopping"),
    sources=("F 5.1", "F 8.3", "S0 inclusion criteria", "S1 eligibility", "S2 exclusion criteria", "S4 6.1"),
)
def male_counselling(case: Case) -> Report | None:
    """What a man is told once, when treatment starts."""
    if not case.reproductive_class.male:
        return None
    limits = case.protocol.pregnancy
    return Report(
        Indicator.INFO,
        f"Counsel: {limits.condom.value}, no sperm or blood donation, until {limits.after_stopping.amount} after stopping",
        f"{limits.condom.value.capitalize()} {limits.condom_use.value}.",
        found_before=not case.course.new_start,
    )


@rule(
    "teratogenicity.rems-enrolment",
    "Prescriber, patient and pharmacy are certified; the authorisation number and the risk category stand on the prescription. "
    "The service never infers enrolment.",
    cites=("reproduction.family",),
    sources=("F 5.2", "R1 prescriber requirements", "R2 prescriber requirements"),
    applies=lambda protocol: protocol.reproduction.family.value == "US",
)
def programme_enrolment(case: Case) -> Report | None:
    """Evidence that the patient or the order is in the programme."""
    ordered = () if case.regimen is None else case.regimen.orders
    if case.snapshot.in_programme or any(order.in_programme for order in ordered):
        return None
    programme = case.protocol.programme
    return Report(
        Indicator.WARNING if case.reproductive_class.able else Indicator.INFO,
        f"{programme}: no enrolment or authorisation on record",
        "Check that prescriber and patient are enrolled; put the authorisation number and risk category on the order.",
    )


RULES = (test_initial, test_ongoing, contraception, male_counselling, programme_enrolment)
