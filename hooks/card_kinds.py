"""Which findings make a card: the kinds of card, and the reasons an override may give."""

from __future__ import annotations

from collections.abc import Sequence

from cds.evaluation import Judgement
from cds.findings import Action, Finding, Indicator, Outcome
from hooks.shown import CHECKS as _CHECKS
from hooks.shown import OF_A_START as _OF_A_START
from hooks.shown import Shown

DOSE, PREGNANCY, THROMBOSIS, INTERACTIONS, CHECKS = (
    "dose",
    "pregnancy prevention",
    "thrombosis",
    "interactions",
    "checks due",
)
_UNREAD = "monitoring.unit-unknown"
_TESTS_DUE = frozenset({"teratogenicity.test-initial", "teratogenicity.test-ongoing"})
_GOES_AHEAD = {None, Action.MODIFY, Action.PROCEED}
# What goes with an order that goes ahead, or will once what it waits for is known.
_BESIDE_TREATMENT = _CHECKS | {"vte.prophylaxis-missing"}
_STOPS = {Action.HOLD, Action.DISCONTINUE}

OVERRIDE_REASONS = {
    DOSE: (
        ("clinical-judgement", "Clinical judgement: benefit outweighs the risk"),
        ("data-outdated", "The data used are wrong or out of date"),
        ("not-maintenance", "Not maintenance therapy"),
        ("specialist-agreed", "Agreed with the haematologist"),
    ),
    PREGNANCY: (
        ("documented-elsewhere", "Negative test, contraception or enrolment documented elsewhere"),
        ("cannot-become-pregnant", "Cannot become pregnant: documented elsewhere"),
        ("pregnancy-ruled-out", "Pregnancy ruled out, or over"),
        ("not-dispensed-before-test", "Will not be dispensed before a negative test"),
        ("data-outdated", "The data used are wrong or out of date"),
    ),
    THROMBOSIS: (
        ("taken-already", "Prophylaxis or treatment is taken already"),
        ("risk-judged-low", "Risk of thrombosis judged low"),
        ("bleeding-risk", "Risk of bleeding judged higher"),
        ("other-agent", "Another agent has been or will be ordered"),
        ("data-outdated", "The data used are wrong or out of date"),
    ),
    INTERACTIONS: (
        ("benefit-outweighs-risk", "Both are needed: benefit outweighs the risk"),
        ("other-drug-stopped", "The other drug has been or will be stopped"),
        ("monitored", "Monitored"),
        ("data-outdated", "The data used are wrong or out of date"),
    ),
    CHECKS: (
        ("done-elsewhere", "Done elsewhere"),
        ("will-be-done", "Will be done"),
        ("not-applicable", "Does not apply to this patient"),
    ),
}


def shown_findings(judgement: Judgement, shown: Shown) -> dict[str, list[Finding]]:
    """The findings of each card that a hook shows, by card kind. Checks that are due make no card beside a graver one."""
    action = None if judgement.recommendation is None else judgement.recommendation.action
    also = shown.also - _untimely(judgement, action)
    told = [
        finding
        for finding in _beside_nothing_else(judgement.findings)
        if _adds_something(finding, action) and not (shown.hides_orders_without_dose and finding.waits_for_dose)
    ]
    if not any(finding.id in also or _is_urgent(finding, shown) for finding in told):
        # The ordinary answer.
        return {}
    groups: dict[str, list[Finding]] = {kind: [] for kind in OVERRIDE_REASONS}
    for finding in told:
        groups[_kind(finding)].append(finding)
    for kind, implied in ((PREGNANCY, _implied(groups[PREGNANCY])), (THROMBOSIS, _told(groups[THROMBOSIS]))):
        groups[kind] = [finding for finding in groups[kind] if finding.id not in implied]
    urgent = {
        kind: findings for kind, findings in groups.items() if any(_is_urgent(finding, shown) for finding in findings)
    }
    return {
        kind: findings
        for kind, findings in groups.items()
        if kind in urgent or any(finding.id in also and not (urgent and finding.id in _CHECKS) for finding in findings)
    }


def _beside_nothing_else(findings: Sequence[Finding]) -> Sequence[Finding]:
    """The findings beside which nothing else matters, and the rules that failed; or all."""
    if not any(finding.alone for finding in findings):
        return findings
    return [finding for finding in findings if finding.alone or finding.outcome is Outcome.FAILED]


def _untimely(judgement: Judgement, action: Action | None) -> frozenset[str]:
    """What is said only with the order that starts treatment, not with drafts before it that do not, nor at renewals.

    Checks are also said where no order is being written.
    """
    if judgement.regimen is None or (judgement.case.course.new_start and action is Action.PROCEED):
        return frozenset()
    return _CHECKS if action is Action.PROCEED else _OF_A_START


def _implied(findings: Sequence[Finding]) -> frozenset[str]:
    """What other findings of the pregnancy card say already: a test that holds treatment, or could not be read."""
    held = any(finding.action is Action.HOLD and finding.order_tests for finding in findings)
    return (_TESTS_DUE if held else frozenset()) | ({_UNREAD} if len(findings) > 1 else set())


def _told(findings: Sequence[Finding]) -> frozenset[str]:
    """What the leading finding of the thrombosis card says already: the recent event itself, that the risk is high."""
    fired = {finding.id: finding for finding in findings if finding.outcome is Outcome.FIRED}
    recent, told = fired.get("vte.recent-60d"), set()
    if "vte.active-event" in fired and recent is not None and recent.indicator is not Indicator.CRITICAL:
        told.add("vte.recent-60d")
    if "vte.active-event" in fired:
        told |= {"vte.impede", "vte.saved", "vte.imwg"}
    if "vte.prophylaxis-missing" in fired and "vte.imwg" in fired:
        told.add("vte.imwg")
    return frozenset(told)


def _kind(finding: Finding) -> str:
    unread = finding.id == _UNREAD
    if finding.area == "teratogenicity" or (unread and {item.fact for item in finding.evidence} == {"hcg"}):
        return PREGNANCY
    if finding.area == "vte":
        return THROMBOSIS
    if finding.area == "interaction" and finding.action is None:
        return INTERACTIONS
    belongs_to_dose = finding.area not in {"monitoring", "eligibility"} or finding.action is not None or unread
    return DOSE if belongs_to_dose or finding.indicator is Indicator.CRITICAL else CHECKS


def _is_urgent(finding: Finding, shown: Shown) -> bool:
    """Grave enough; and known, unless it is about a pregnancy."""
    known = finding.outcome is not Outcome.UNKNOWN or _kind(finding) == PREGNANCY
    return finding.indicator.rank >= shown.least.rank and known


def _adds_something(finding: Finding, action: Action | None) -> bool:
    """A count that could not decide is said by the finding that asks for a new one; known advice is not repeated.

    How an order is to be filled matters when it goes ahead.
    """
    if finding.outcome is Outcome.FAILED:
        return True
    if finding.area == "supply" and finding.indicator is Indicator.INFO and action not in _GOES_AHEAD:
        return False
    if finding.id in _BESIDE_TREATMENT and action in _STOPS:
        return False
    if finding.id in _CHECKS and finding.outcome is Outcome.UNKNOWN:
        # That laboratory data did not come is said once, under what could not be checked.
        return False
    return not finding.found_before and not (finding.outcome is Outcome.UNKNOWN and finding.area == "heme")
