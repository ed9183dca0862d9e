"""The machine-readable explanation of an answer: its shape is a contract (keys are always present)."""

from __future__ import annotations

from cds.evaluation import Evaluation, Judgement
from cds.findings import Finding, Outcome, Recommendation
from cds.level import Level
from cds.snapshot import REQUIRED_KINDS, Supply
from cds.thrombosis_risk import Score
from hooks.card_kinds import shown_findings
from hooks.prefetch import Supplied
from hooks.shown import Shown
from hooks.wire import Json, number


def explanation(evaluation: Evaluation, shown: Shown, supplied: Supplied) -> Json:
    """The machine-readable explanation: every finding, shown or not, and everything that was not read."""
    # As the rules saw it: an order whose drug is not known takes something away from what came.
    supply = next((judgement.case.snapshot.supply for judgement in evaluation.judgements), supplied.supply)
    return {
        "protocol": {"id": evaluation.protocol.id, "version": evaluation.protocol.full_version},
        "now": evaluation.now.isoformat(timespec="seconds"),
        "drafts": [
            {"order": reference, **explained}
            for judgement in evaluation.judgements
            for explained in [_explained(judgement, shown)]
            for reference in (judgement.regimen.references if judgement.regimen is not None else (None,))
        ],
        "supplied": {kind: supply.get(kind, Supply.ABSENT).value for kind in REQUIRED_KINDS},
        "unread": [*_short(supplied), *({"reference": item.reference, "why": item.why} for item in evaluation.unread)],
    }


def _short(supplied: Supplied) -> list[Json]:
    """The prefetch keys that failed or came in part, each once."""
    listed = {one.key: one for kind in supplied.shortfalls.values() for one in kind}
    return [
        {"reference": f"prefetch.{key}", "why": f"{one.state.value}: {one.why}" if one.why else one.state.value}
        for key, one in listed.items()
    ]


def _explained(judgement: Judgement, at_hook: Shown) -> Json:
    """What the drafts of one regimen share."""
    shown = {finding.id for findings in shown_findings(judgement, at_hook).values() for finding in findings}
    case, course = judgement.case, judgement.case.course
    failed = {finding.id for finding in judgement.findings if finding.outcome is Outcome.FAILED}
    return {
        "recommendation": _recommended(judgement.recommendation),
        "findings": [_finding(finding, shown=finding.id in shown) for finding in judgement.findings],
        "facts": {
            "crcl_ml_min": number(case.kidney.clearance),
            "reproductive_class": case.reproductive_class.value,
            # Where the rule failed, so would this.
            "impede": None if "vte.impede" in failed else _range(case.thrombosis_risk.impede),
            "saved": None if "vte.saved" in failed else _range(case.thrombosis_risk.saved),
            "completed_cycles": course.completed_cycles,
            "current_level": None if course.current_level is None else _level(course.current_level),
        },
    }


def _range(score: Score) -> Json:
    return {"low": score.low, "high": score.high}


def _recommended(recommendation: Recommendation | None) -> Json | None:
    if recommendation is None:
        return None
    return {
        "action": recommendation.action.value,
        "level": None if recommendation.level is None else _level(recommendation.level),
        "resume_at": None if recommendation.resume_at is None else _level(recommendation.resume_at),
        "reasons": list(recommendation.reasons),
    }


def _level(level: Level) -> Json:
    days = level.schedule.value
    return {"dose_mg": number(level.dose_mg), "schedule_days": int(days) if days.isdecimal() else days}


def _finding(finding: Finding, *, shown: bool) -> Json:
    return {
        "id": finding.id,
        "indicator": finding.indicator.value,
        "outcome": finding.outcome.value,
        "shown": shown,
        "summary": finding.summary,
        "evidence": [
            {
                "fact": item.fact,
                "value": item.value if item.value is None or isinstance(item.value, str) else number(item.value),
                "unit": item.unit,
                "effective": None if item.effective is None else item.effective.isoformat(),
                "reference": item.reference,
            }
            for item in finding.evidence
        ],
        "sources": list(finding.sources),
        "inherited_from": finding.inherited_from,
    }
