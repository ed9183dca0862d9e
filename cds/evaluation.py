"""The evaluation: a pure function of patient snapshot, draft orders, protocol and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cds.case import Case
from cds.findings import Action, Finding, Outcome, Recommendation
from cds.protocol import Protocol
from cds.recommend import recommend
from cds.regimen import Regimen, regimens
from cds.rules import RULES, Rule
from cds.snapshot import LENALIDOMIDE, DraftOrders, PatientSnapshot, Unread

INVITATIONS = frozenset({"dosing.escalation-eligible", "dosing.revallo-escalation"})
"""Rules that offer a larger dose: said even where nothing is wrong, and not beside a reason to stop."""

_STOPPED = (Action.DISCONTINUE, Action.HOLD, Action.DEFER)
_ACTIONS = (*Action, None)


@dataclass(frozen=True)
class Judgement:
    """What came of one regimen; ``regimen`` and ``recommendation`` are None where no order is being written."""

    case: Case
    regimen: Regimen | None
    findings: tuple[Finding, ...]
    recommendation: Recommendation | None


@dataclass(frozen=True)
class Evaluation:
    """All judgements of one request under one protocol, and everything that could not be read."""

    protocol: Protocol
    now: datetime
    judgements: tuple[Judgement, ...]
    unread: tuple[Unread, ...]


def evaluate(snapshot: PatientSnapshot, drafts: DraftOrders | None, protocol: Protocol, now: datetime) -> Evaluation:
    """Judge every lenalidomide draft; or, where no order is being written (None), the treatment as it stands.

    ``now`` must be aware; its zone is the organisation's. Same arguments, same result.
    """
    if now.tzinfo is None:
        msg = "now must be an aware datetime in the organisation's time zone"
        raise ValueError(msg)
    if drafts is not None:
        cases = [Case(snapshot, drafts, regimen, protocol, now) for regimen in regimens(drafts, now.date())]
        return Evaluation(protocol, now, tuple(_judge(case) for case in cases), (*snapshot.unread, *drafts.unread))
    treated = any(order.drug.token == LENALIDOMIDE for order in snapshot.orders)
    judged = (_judge(Case(snapshot, DraftOrders(), None, protocol, now)),) if treated else ()
    return Evaluation(protocol, now, judged, snapshot.unread)


def _judge(case: Case) -> Judgement:
    rules = _speaking(RULES, case.protocol, of_a_draft=case.regimen is not None)
    findings = [finding for rule in rules if (finding := rule.run(case)) is not None]
    if case.regimen is None:
        return Judgement(case, None, _ranked(findings), None)
    recommendation = recommend(case, findings)
    if recommendation.action in _STOPPED:
        findings = [
            finding for finding in findings if finding.id not in INVITATIONS or finding.outcome is Outcome.FAILED
        ]
    return Judgement(case, case.regimen, _ranked(findings), recommendation)


@lru_cache(maxsize=64)
def _speaking(rules: tuple[Rule, ...], protocol: Protocol, *, of_a_draft: bool) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.speaks(protocol, of_a_draft=of_a_draft))


def _ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Most severe first, then by what the finding asks for, then in the order of the catalogue."""

    def rank(finding: Finding) -> tuple[int, int]:
        return (-finding.indicator.rank, _ACTIONS.index(finding.action))

    return tuple(sorted(findings, key=rank))
