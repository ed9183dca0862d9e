"""Evaluation to cards: one card per clinical decision, as few as possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from cds.evaluation import Evaluation, Judgement
from cds.findings import Action, Finding, Indicator, Recommendation
from cds.protocol import Protocol
from cds.words import on
from hooks.card_kinds import CHECKS, DOSE, OVERRIDE_REASONS, PREGNANCY, shown_findings
from hooks.citations import NO_DOCUMENT, citations
from hooks.markdown import escaped, headline
from hooks.shown import Shown
from hooks.suggestions import changes_an_order, suggestions_for
from hooks.unchecked import Shortfalls, failed_kinds, unchecked
from hooks.wire import EXTENSION, Json

_SYSTEM = "urn:lenalidomide-maintenance"
NOT_CHECKED = "service.not-checked"
"""The topic of a card that says only what could not be looked at."""

_GIVES_A_LEVEL = {Action.MODIFY, Action.PROCEED}
_HEADINGS = {
    Action.DISCONTINUE: "Stop lenalidomide",
    Action.HOLD: "Hold lenalidomide",
    Action.DEFER: "Cannot be judged yet",
    Action.MODIFY: "Change the order",
}


@dataclass(frozen=True)
class Request:
    """What the cards need of the request.

    Its instance, the patient, the drafts as received by reference, what is shown, and per kind of data what fell short.
    """

    hook_instance: str
    patient_id: str
    drafts: Mapping[str, Mapping[str, Any]]
    shown: Shown
    shortfalls: Shortfalls


def cards_for(evaluation: Evaluation, request: Request) -> list[Json]:
    """The cards of one answer, most urgent first."""
    cards = [card for judgement in evaluation.judgements for card in _cards(judgement, evaluation, request)]
    return sorted(cards, key=lambda card: -Indicator(card["indicator"]).rank)


def _cards(judgement: Judgement, evaluation: Evaluation, request: Request) -> list[Json]:
    groups = shown_findings(judgement, request.shown)
    cards = [_card(kind, findings, judgement, evaluation, request) for kind, findings in groups.items()]
    return cards or _not_checked(judgement, evaluation, request)


def _not_checked(judgement: Judgement, evaluation: Evaluation, request: Request) -> list[Json]:
    """Where nothing is found because something could not be looked at, silence would read as "in order"."""
    failed = failed_kinds(judgement, request.shortfalls)
    if not failed or Indicator.WARNING.rank < request.shown.least.rank:
        return []
    topic = _camel_case(NOT_CHECKED, Indicator.WARNING)
    order = _order(judgement)
    parts = [
        "Nothing else was found to be wrong. Look these up by hand, or try again.",
        "*Rule:* What could not be looked at is never taken to be in order.",
        f"*Source:* {NO_DOCUMENT['[policy]']}",
    ]
    return [
        {
            "uuid": str(_uuid(f"{request.hook_instance} {order} {topic}")),
            "summary": headline(f"Lenalidomide not fully checked: {', '.join(failed)}"),
            "indicator": Indicator.WARNING.value,
            "detail": "\n\n".join([*parts, *_ends(judgement, evaluation, request)]),
            "source": {
                "label": "Lenalidomide decision support",
                "topic": {"system": f"{_SYSTEM}:rule", "code": topic, "display": NOT_CHECKED},
            },
            "extension": {f"{EXTENSION}.decision": str(_uuid(f"{request.patient_id} {order} {topic} {failed}"))},
            **_overrides(CHECKS, Indicator.WARNING),
        }
    ]


def _card(
    kind: str,
    findings: Sequence[Finding],
    judgement: Judgement,
    evaluation: Evaluation,
    request: Request,
) -> Json:
    recommendation = _given_by(findings, kind, judgement.recommendation)
    lead = _lead(findings, recommendation)
    indicator = max((finding.indicator for finding in findings), key=lambda item: item.rank)
    topic = _topic(lead, indicator)
    order = _order(judgement)
    uuid = _uuid(f"{request.hook_instance} {order} {topic}")
    advice = _advice(kind, findings, recommendation)
    return {
        "uuid": str(uuid),
        "summary": headline(_with_order(lead.summary, judgement, evaluation)),
        "indicator": indicator.value,
        "detail": _detail(kind, findings, lead, recommendation, judgement, evaluation, request),
        "source": _source(evaluation.protocol, lead, topic),
        "extension": {f"{EXTENSION}.decision": str(_uuid(f"{request.patient_id} {order} {topic} {advice}"))},
        **_overrides(kind, indicator),
        **_offers(kind, findings, recommendation, judgement, request, uuid),
    }


def _source(protocol: Protocol, lead: Finding, topic: str) -> Json:
    """The protocol's document, and the kind of advice by which an earlier override is recognised."""
    named = {"system": f"{_SYSTEM}:rule", "code": topic, "display": lead.id}
    source = {"label": protocol.document.short, "topic": named}
    return source if protocol.document.url is None else {**source, "url": protocol.document.url}


def _overrides(kind: str, indicator: Indicator) -> Json:
    """The reasons an override may give; there is nothing to override in counselling."""
    if kind == PREGNANCY and indicator is Indicator.INFO:
        return {}
    reasons = [
        {"system": f"{_SYSTEM}:override-reason", "code": code, "display": display}
        for code, display in OVERRIDE_REASONS[kind]
    ]
    return {"overrideReasons": reasons}


def _offers(
    kind: str,
    findings: Sequence[Finding],
    recommendation: Recommendation | None,
    judgement: Judgement,
    request: Request,
    card: UUID,
) -> Json:
    """The suggestions; only offers that touch the same draft, or answer the same question, exclude one another."""
    about = judgement if recommendation is not None else Judgement(judgement.case, None, judgement.findings, None)
    offers = suggestions_for(about, findings, request.drafts, request.patient_id, card, may_wait=kind == PREGNANCY)
    if not offers:
        return {}
    alternatives = [offer for offer in offers if changes_an_order(offer)]
    return {"suggestions": offers, "selectionBehavior": "at-most-one" if len(alternatives) > 1 else "any"}


def _given_by(findings: Sequence[Finding], kind: str, recommendation: Recommendation | None) -> Recommendation | None:
    """The recommendation as far as it is this card's: it stands where its reasons do; without any it is about the dose."""
    if recommendation is None or {finding.id for finding in findings} & set(recommendation.reasons):
        return recommendation
    return recommendation if kind == DOSE and recommendation.action in _GIVES_A_LEVEL else None


def _advice(kind: str, findings: Sequence[Finding], recommendation: Recommendation | None) -> str:
    """What the card asks for, in words that are the same at every hook."""
    if kind == DOSE and recommendation is not None:
        return f"{recommendation.action.value} {recommendation.level or recommendation.resume_at}"
    asked = {finding.action for finding in findings}
    return next((action.value for action in Action if action in asked), kind)


def _order(judgement: Judgement) -> str:
    return ",".join(judgement.regimen.references) if judgement.regimen is not None else ""


def _uuid(name: str) -> UUID:
    """The same uuid for the same name, whatever characters a request brought into it."""
    return uuid5(NAMESPACE_URL, name.encode("utf-8", "backslashreplace").decode())


def _lead(findings: Sequence[Finding], recommendation: Recommendation | None) -> Finding:
    """The finding that says what to do first: the most severe of those that gave the recommendation."""
    reasons = recommendation.reasons if recommendation is not None else ()
    decisive = [finding for finding in findings if finding.id in reasons]
    return (decisive or list(findings))[0]


def _topic(lead: Finding, indicator: Indicator) -> str:
    return _camel_case(lead.id, indicator)


def _camel_case(rule: str, indicator: Indicator) -> str:
    """``heme.anc-interrupt`` and critical become ``hemeAncInterruptCritical``."""
    first, *rest = rule.replace(".", "-").split("-")
    return first + "".join(part.capitalize() for part in (*rest, indicator.value))


def _with_order(summary: str, judgement: Judgement, evaluation: Evaluation) -> str:
    """With several regimens in one answer the headline says which it is about."""
    regimen = judgement.regimen
    if regimen is None or len(evaluation.judgements) == 1 or regimen.start is None:
        return summary
    return f"{summary} [order of {on(regimen.start, evaluation.now.date())}]"


def _detail(
    kind: str,
    findings: Sequence[Finding],
    lead: Finding,
    recommendation: Recommendation | None,
    judgement: Judgement,
    evaluation: Evaluation,
    request: Request,
) -> str:
    protocol = evaluation.protocol
    parts = [
        # What the order waits for stands in the headline, and what to do in the first line.
        "" if kind == PREGNANCY else _heading(recommendation, lead),
        escaped(lead.advice),
        f"*Rule:* {escaped(lead.rule)}",
        _sources(lead, protocol),
    ]
    others = [finding for finding in findings if finding is not lead]
    if others:
        parts.append("**Also**\n\n" + "\n".join(f"- {escaped(_line(finding, recommendation))}" for finding in others))
    parts += _ends(judgement, evaluation, request)
    return "\n\n".join(part for part in parts if part)


def _ends(judgement: Judgement, evaluation: Evaluation, request: Request) -> Iterator[str]:
    """How every card ends."""
    lines = unchecked(judgement, evaluation, request.shortfalls)
    if lines:
        yield "**Not checked**\n\n" + "\n".join(f"- {escaped(line)}" for line in lines)
    yield f"Protocol {escaped(evaluation.protocol.id)}, version {escaped(evaluation.protocol.full_version)}"


def _heading(recommendation: Recommendation | None, lead: Finding) -> str:
    """What to do, where the headline does not say it already."""
    if recommendation is None or recommendation.action is Action.PROCEED:
        return ""
    heading = _HEADINGS[recommendation.action]
    if recommendation.action is Action.MODIFY and recommendation.level is not None:
        heading += f": {recommendation.level.in_words}"
    if recommendation.resume_at is not None:
        heading += f"; resume at {recommendation.resume_at.in_words}"
    return "" if lead.summary.startswith(heading) else f"**{escaped(heading)}**"


def _line(finding: Finding, recommendation: Recommendation | None) -> str:
    """Its headline; also its advice where it is a reason of the recommendation."""
    decisive = recommendation is not None and finding.id in recommendation.reasons and finding.advice
    return f"{finding.summary}. {finding.advice}" if decisive else finding.summary


def _sources(finding: Finding, protocol: Protocol) -> str:
    """Where the rule stands."""
    cited = citations(finding, protocol)
    inherited = f" (inherited from {finding.inherited_from})" if finding.inherited_from else ""
    return f"*Source:* {escaped('; '.join(map(str, cited)) + inherited)}" if cited else ""
