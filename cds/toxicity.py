"""Non-haematological toxicity: graded reactions, and the liver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds.counted import highest_first, latest
from cds.protocol import Protocol
from cds.snapshot import PatientSnapshot, Reaction, Result

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
_LIVER_TESTS = ("alt", "ast", "bilirubin")


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
    for token in _LIVER_TESTS:
        limit = protocol.liver.bilirubin_hold if token == "bilirubin" else protocol.liver.transaminases_hold
        if token == "bilirubin" and snapshot.conditions_of("gilbert-syndrome"):
            continue
        result = latest(
            [result for result in snapshot.of(token) if result.measurement is not None], worse=highest_first
        )
        if result is not None and result.upper_limit and limit.holds(result.value / result.upper_limit):
            return result
    return None


def _attributed(reaction: Reaction, since: date | None) -> bool:
    if reaction.token in _COUNTED_BY_THE_LABORATORY:
        return False
    if reaction.attributed is not None:
        return reaction.attributed
    return since is not None and reaction.onset is not None and reaction.onset >= since
