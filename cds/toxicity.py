"""Non-haematological toxicity: graded reactions, and the liver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds.counted import highest_first, latest
from cds.lazy import once
from cds.parameters import Threshold
from cds.protocol import Protocol
from cds.snapshot import Measurement, PatientSnapshot, Reaction, Result

PERMANENT_STOP = (
    "stevens-johnson-syndrome",
    "toxic-epidermal-necrolysis",
    "dress",
    "angioedema",
    "anaphylaxis",
    "exfoliative-bullous-rash",
)
RASH = "rash"
_COUNTED_BY_THE_LABORATORY = ("neutropenia", "thrombocytopenia", "pancytopenia")
_BILIRUBIN = "bilirubin"
LIVER_TESTS = ("alt", "ast", _BILIRUBIN)


@dataclass(frozen=True)
class Reactions:
    """Reactions attributed to lenalidomide since maintenance start, split by what they ask for."""

    permanent_stop: tuple[Reaction, ...]
    open_severe: tuple[Reaction, ...]
    resolved_severe: tuple[Reaction, ...]
    ungraded: tuple[Reaction, ...]
    mild_rash: tuple[Reaction, ...]

    @property
    def any_severe(self) -> bool:
        """Whether a reaction of the holding grade ever occurred."""
        return bool(self.permanent_stop or self.open_severe or self.resolved_severe)


def attributed_reactions(snapshot: PatientSnapshot, protocol: Protocol, since: date | None) -> Reactions:
    """Stated as due to lenalidomide, or graded with onset on or after maintenance start and no other cause stated."""
    limits = protocol.reactions
    mine = [reaction for reaction in snapshot.reactions if _attributed(reaction, since)]
    stop = [
        reaction
        for reaction in mine
        if reaction.token in PERMANENT_STOP
        or (
            reaction.token == RASH
            and reaction.grade is not None
            and limits.permanent_stop_rash_grade.holds(reaction.grade)
        )
    ]
    rest = [reaction for reaction in mine if reaction not in stop]
    severe = [reaction for reaction in rest if reaction.grade is not None and limits.hold_grade.holds(reaction.grade)]
    return Reactions(
        tuple(stop),
        tuple(reaction for reaction in severe if not reaction.resolved),
        tuple(reaction for reaction in severe if reaction.resolved),
        tuple(reaction for reaction in rest if reaction.grade is None and not reaction.resolved),
        tuple(
            reaction
            for reaction in rest
            if reaction.token == RASH
            and not reaction.resolved
            and reaction.grade is not None
            and limits.consider_grade.holds(reaction.grade)
            and reaction not in severe
        ),
    )


def liver_hold(snapshot: PatientSnapshot, protocol: Protocol) -> Result | None:
    """The liver test, if any, whose latest value is so far above its own upper limit that treatment stops."""
    return liver_above(snapshot, protocol.liver.transaminases_hold, protocol.liver.bilirubin_hold)


def liver_above(snapshot: PatientSnapshot, transaminases: Threshold, bilirubin: Threshold) -> Result | None:
    """The liver test, if any, whose latest value meets a limit in multiples of its own upper limit of normal."""
    for token in _graded_liver_tests(snapshot):
        limit = bilirubin if token == _BILIRUBIN else transaminases

        def against(result: Result, limit: Threshold = limit) -> bool:
            return _is_above(result, limit)

        found = latest(_measured(snapshot, token), worse=highest_first, against=against)
        if found is not None and _is_above(found, limit):
            return found
    return None


def liver_elevated(snapshot: PatientSnapshot) -> tuple[Result, ...]:
    """Liver tests whose latest value is above its own upper limit of normal."""
    return tuple(
        result
        for result in _latest_liver_tests(snapshot)
        if result.upper_limit and result.measurement is not None and result.measurement.value > result.upper_limit
    )


def liver_not_graded(snapshot: PatientSnapshot) -> tuple[Result, ...]:
    """Liver tests whose latest value came without its upper limit of normal."""
    return tuple(result for result in _latest_liver_tests(snapshot) if not result.upper_limit)


@once
def _latest_liver_tests(snapshot: PatientSnapshot) -> list[Result]:
    found = (latest(_measured(snapshot, token), worse=highest_first) for token in _graded_liver_tests(snapshot))
    return [result for result in found if result is not None]


def liver_hold_since(snapshot: PatientSnapshot, protocol: Protocol, since: date | None) -> bool:
    """Whether a liver test stopped treatment at any time since maintenance start."""
    limits = protocol.liver
    return since is not None and any(
        result.day >= since
        and _is_above(result, limits.bilirubin_hold if token == _BILIRUBIN else limits.transaminases_hold)
        for token in _graded_liver_tests(snapshot)
        for result in _measured(snapshot, token)
    )


def _has_gilbert(snapshot: PatientSnapshot) -> bool:
    return any(fact.confirmed is not False for fact in snapshot.conditions_of("gilbert-syndrome"))


@once
def _graded_liver_tests(snapshot: PatientSnapshot) -> list[str]:
    return [token for token in LIVER_TESTS if token != _BILIRUBIN or not _has_gilbert(snapshot)]


def _measured(snapshot: PatientSnapshot, token: str) -> list[Result]:
    return [result for result in snapshot.of(token) if result.measurement is not None]


def _is_above(result: Result, limit: Threshold) -> bool:
    if result.measurement is None or not result.upper_limit:
        return False
    times, comparator = result.measurement.value / result.upper_limit, result.measurement.comparator
    return limit.holds(times) if comparator is None else limit.holds_for(Measurement(times, comparator)) is True


def _attributed(reaction: Reaction, since: date | None) -> bool:
    if reaction.token in _COUNTED_BY_THE_LABORATORY:
        return False
    if reaction.attributed is not None:
        return reaction.attributed
    return since is not None and (reaction.onset is None or reaction.onset >= since)
