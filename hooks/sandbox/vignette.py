"""Save as a case: the patient and the order on the screen as a clinical vignette, to be reviewed by a pharmacist."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from cds.case import Case
from cds.evaluation import Evaluation, Judgement
from cds.findings import Finding, Outcome
from cds.level import Level
from cds.rules import RULES
from cds.thrombosis_risk import Score
from hooks.sandbox import vignette_orders, vignette_record
from hooks.sandbox.vignette_layout import comment, list_entry
from hooks.sandbox.vignette_record import Entry, known
from hooks.wire import ORDER_SIGN

_RECORD = ("conditions", "procedures", "medications", "allergies", "adverse_events", "responses", "contraception")
_ORDER = ("patient", *_RECORD, "devices", "flags", "labs", "history", "draft", "drafts")
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9.]+")
_BRACKETS = re.compile(r"[()]")


def vignette(evaluation: Evaluation, hook: str, name: str) -> str:
    """One entry for ``cases:`` of the protocol's ``cases.yaml``, under whatever baseline.

    Several orders of one request become ``drafts``; what is expected is what was said of the first. Nothing that names the
    patient stands in it: no id and no words of the record. Raises ``ValueError`` where nothing was judged, and for a name
    without a letter or a digit.
    """
    if not evaluation.judgements:
        raise ValueError("nothing was judged: a case needs an order of lenalidomide, drafted or in the history")
    judgement = evaluation.judgements[0]
    snapshot, now = judgement.case.snapshot, evaluation.now
    stated = vignette_record.record(snapshot, now) | vignette_orders.orders(evaluation)
    entry = {
        **_heading(judgement, name),
        "now": now if now.utcoffset() else now.replace(tzinfo=None),
        **({"hook": hook} if hook != ORDER_SIGN else {}),
        **{key: stated[key] for key in _ORDER if key in stated},
        **vignette_record.supply(snapshot, stated),
        "expect": _expected(judgement),
    }
    return "".join(comment(words) for words in _comments(evaluation, stated)) + list_entry(entry)


def _comments(evaluation: Evaluation, stated: Entry) -> Iterator[str]:
    judgement = evaluation.judgements[0]
    yield f"{evaluation.protocol.id}: the expectation is what the service said. A reviewer confirms it against the source."
    if not judgement.findings:
        yield "No rule had anything to say: name under rule the one that this case is about."
    left_out = [
        *vignette_record.not_stated(judgement.case.snapshot, stated),
        *vignette_orders.not_stated(evaluation),
        *vignette_record.unread(evaluation.unread),
        *(f"that {rule} could not be evaluated" for rule in _failed(judgement)),
    ]
    yield from (f"Not carried over: {what}." for what in dict.fromkeys(left_out))


def _heading(judgement: Judgement, name: str) -> Entry:
    leading = _leading(judgement)
    headline = "nothing to say" if leading is None else _headline(leading, judgement.case)
    return {
        "id": _case_id(name),
        "title": f"To be reviewed: {headline}",
        "rule": RULES[0].id if leading is None else leading.id,
    }


def _case_id(name: str) -> str:
    latin = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    case_id = _NOT_IN_AN_ID.sub("-", latin).strip("-.")
    if not case_id:
        raise ValueError("the name of a case needs a letter or a digit")
    return case_id


def _leading(judgement: Judgement) -> Finding | None:
    """The finding behind the recommendation, else the most severe."""
    reasons = judgement.recommendation.reasons if judgement.recommendation is not None else ()
    deciding = (finding for finding in judgement.findings if finding.id in reasons[:1])
    return next(deciding, next(iter(judgement.findings), None))


def _headline(finding: Finding, case: Case) -> str:
    """The finding's summary, as far as it holds no words of the record."""
    foreign = [
        part.strip().casefold() for words in _foreign_words(case) for part in _BRACKETS.split(words) if part.strip()
    ]
    choices = (finding.summary, finding.summary.partition(":")[0])
    return next((said for said in choices if not any(words in said.casefold() for words in foreign)), finding.id)


def _foreign_words(case: Case) -> Iterator[str]:
    """Words that may be the record's own, or hold an id."""
    orders = (*case.snapshot.orders, *case.drafts.orders)
    yield from (item.why for item in (*case.snapshot.unread, *case.drafts.unread))
    yield from (problem for order in orders for problem in order.dosing.problems)
    yield from (order.drug.name for order in orders if not order.drug.coded)
    yield from (reaction.name for reaction in case.snapshot.reactions if not reaction.token)
    yield from case.course.level_problems


def _expected(judgement: Judgement) -> Entry:
    given, findings = judgement.recommendation, judgement.findings
    fires: dict[str, str] = {}
    for finding in findings:
        if finding.outcome is Outcome.FIRED:
            fires.setdefault(finding.id, finding.indicator.value)
    unknown = dict.fromkeys(finding.id for finding in findings if finding.outcome is Outcome.UNKNOWN)
    return {
        "action": None if given is None else given.action.value,
        **known(
            level=None if given is None else _level(given.level),
            resume_at=None if given is None else _level(given.resume_at),
            fires=fires or None,
            unknown=list(unknown) or None,
        ),
        "facts": _facts(judgement),
    }


def _facts(judgement: Judgement) -> Entry:
    case, failed = judgement.case, _failed(judgement)
    return known(
        crcl_ml_min=case.kidney.clearance,
        completed_cycles=case.course.completed_cycles,
        current_level=_level(case.course.current_level),
        reproductive_class=case.reproductive_class.value,
        # Where the rule failed, so would the score.
        impede=None if "vte.impede" in failed else _range(case.thrombosis_risk.impede),
        saved=None if "vte.saved" in failed else _range(case.thrombosis_risk.saved),
    )


def _failed(judgement: Judgement) -> list[str]:
    return [finding.id for finding in judgement.findings if finding.outcome is Outcome.FAILED]


def _level(level: Level | None) -> str | None:
    return None if level is None else str(level)


def _range(score: Score) -> str:
    return f"{score.low} to {score.high}"
