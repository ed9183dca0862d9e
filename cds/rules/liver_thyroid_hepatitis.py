"""Area monitoring: the liver, the thyroid, and the screen for hepatitis B."""

from __future__ import annotations

from collections.abc import Iterable

from cds.case import HIDES, Case
from cds.counted import last_final
from cds.findings import Action, Indicator, Outcome
from cds.level import plain
from cds.parameters import Threshold
from cds.rules.rule import Report, rule
from cds.snapshot import Result
from cds.toxicity import liver_elevated, liver_not_graded
from cds.words import capital, listed, of_result, on, reading

_TRANSAMINASES = ("alt", "ast")
_TSH, _SCREEN = "tsh", {"hbsag": "HBsAg", "anti-hbc": "anti-HBc"}
_LIVER_PANEL = ("liver-panel",)


@rule(
    "monitoring.hepatotoxicity",
    "Hold when ALT or AST is {liver.transaminases_hold}, or bilirubin {liver.bilirubin_hold} (Gilbert syndrome aside). The label "
    "says to stop upon elevation, without a limit.",
    cites=("liver.transaminases_hold", "liver.bilirubin_hold"),
    sources=("F 5.8",),
    needs_draft=False,
)
def hepatotoxicity(case: Case) -> Report | None:
    """A liver test above its own upper limit, or one that came without a limit."""
    if case.combination or case.treatment_is_over:
        return None
    result = case.liver_hold
    if result is not None and result.upper_limit is not None:
        return Report(
            Indicator.CRITICAL,
            f"Hold lenalidomide: {reading(result, case.today)}, upper limit {plain(result.upper_limit)}",
            "Stop on elevation; a lower dose may be considered after return to baseline.",
            (of_result(result),),
            Action.HOLD,
            _LIVER_PANEL,
        )
    ungraded = liver_not_graded(case.snapshot)
    if ungraded:
        return Report(
            Indicator.WARNING,
            f"Liver tests without an upper limit cannot be graded: {listed([reading(one, case.today) for one in ungraded])}",
            "Compare with the laboratory's normal range.",
            tuple(of_result(one) for one in ungraded),
            found_before=_was_ungraded_before(case, ungraded),
        )
    elevated = liver_elevated(case.snapshot)
    if not elevated:
        return None
    return Report(
        Indicator.INFO,
        f"Above normal: {listed([reading(one, case.today) for one in elevated])}",
        "The label says to stop upon elevation, without a limit; below the holding limit it is a matter of judgement.",
        tuple(of_result(one) for one in elevated),
    )


def _was_ungraded_before(case: Case, ungraded: Iterable[Result]) -> bool:
    """Whether a value as high was met without a limit at an earlier order: that a laboratory prints none is said once."""
    return all(
        any(
            not earlier.upper_limit and case.was_known(earlier.day) and earlier.value >= result.value
            for earlier in case.snapshot.of(result.token)
            if earlier.measurement is not None
        )
        for result in ungraded
    )


@rule(
    "monitoring.lft-due",
    "Liver tests are due: {freshness.liver_new_start} at the start, then {freshness.liver_continuing}.",
    cites=("freshness.liver_new_start", "freshness.liver_continuing"),
    sources=("F 5.8",),
    needs_draft=False,
)
def liver_tests_due(case: Case) -> Report | None:
    """Neither ALT nor AST lately."""
    fresh = case.protocol.freshness
    window = fresh.liver_new_start if case.is_start else fresh.liver_continuing
    return _due(case, "Liver tests", _TRANSAMINASES, window, _LIVER_PANEL)


@rule(
    "monitoring.tsh",
    "TSH is due: {freshness.tsh_new_start} at the start, then {freshness.tsh_continuing}.",
    cites=("freshness.tsh_new_start", "freshness.tsh_continuing"),
    sources=("F 5.13",),
    needs_draft=False,
)
def thyroid(case: Case) -> Report | None:
    """TSH is missing, too old, or outside the laboratory's own range."""
    fresh = case.protocol.freshness
    window = fresh.tsh_new_start if case.is_start else fresh.tsh_continuing
    due = _due(case, "TSH", (_TSH,), window, ("tsh",))
    if due is not None or case.treatment_is_over:
        return due
    result = last_final(case.snapshot.of(_TSH))
    if result is None or result.measurement is None:
        return None
    high = result.upper_limit is not None and result.value > result.upper_limit
    low = result.lower_limit is not None and result.value < result.lower_limit
    if not high and not low:
        return None
    return Report(
        Indicator.INFO,
        f"TSH {'above' if high else 'below'} normal: {reading(result, case.today)}",
        "Treat the thyroid disorder before and during lenalidomide.",
        (of_result(result),),
    )


@rule(
    "monitoring.hbv-screen",
    "HBsAg and anti-HBc are known before lenalidomide; missing at a new start: {freshness.hepatitis_screen}.",
    cites=("freshness.hepatitis_screen",),
    sources=("F 6.2",),
    needs_draft=False,
)
def hepatitis_screen(case: Case) -> Report | None:
    """HBsAg or anti-HBc was never measured."""
    missing = [name for token, name in _SCREEN.items() if last_final(case.snapshot.of(token)) is None]
    if not missing or case.treatment_is_over:
        return None
    supply = case.snapshot.supplied("Observation")
    urgent = case.course.new_start and supply.proves_absence
    return Report(
        Indicator(case.protocol.freshness.hepatitis_screen.value) if urgent else Indicator.INFO,
        f"Hepatitis B not screened: no {' or '.join(missing)}",
        "Reactivation can be fatal." if supply.proves_absence else f"Laboratory data {supply.value}.",
        order_tests=tuple(token for token, name in _SCREEN.items() if name in missing),
        outcome=Outcome.FIRED if supply.proves_absence else Outcome.UNKNOWN,
    )


def _due(case: Case, name: str, tokens: tuple[str, ...], window: Threshold, tests: tuple[str, ...]) -> Report | None:
    """Whether none of some tests is as recent as it should be."""
    finals = [last_final(case.snapshot.of(token)) for token in tokens]
    last = max((result.day for result in finals if result is not None), default=None)
    if case.treatment_is_over or (last is not None and window.holds((case.today - last).days)):
        return None
    supply = case.snapshot.supplied("Observation")
    since = f"last {on(last, case.today)}" if last is not None else "none on record"
    unread = case.newer_unread(tokens, *HIDES)
    if unread:
        since = f"the one of {on(unread[-1].day, case.today)} could not be read"
    if last is None and not supply.proves_absence:
        since = f"laboratory data {supply.value}"
    return Report(
        Indicator.INFO,
        f"{capital(name)} due: {since}",
        f"To be at most {plain(window.value)} days old.",
        tuple(
            of_result(result)
            for token in tokens
            for result in case.snapshot.of(token)
            if result.day == last and not result.only_against
        ),
        order_tests=tests,
        outcome=Outcome.FIRED if last is not None or supply.proves_absence else Outcome.UNKNOWN,
    )


RULES = (hepatotoxicity, liver_tests_due, thyroid, hepatitis_screen)
