"""The six protocols side by side for the same patient and order: where the sources disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cds import load_protocols
from cds.evaluation import Judgement
from cds.findings import Action, Finding, Outcome, Recommendation
from cds.protocol import Protocol
from cds.rules import RULES, Rule
from hooks.answering import Answer

_SAYS = {
    Action.DISCONTINUE: "Stop",
    Action.HOLD: "Hold",
    Action.DEFER: "Cannot be judged yet",
    Action.MODIFY: "Change",
    Action.PROCEED: "In order",
}


@dataclass(frozen=True)
class Cell:
    """What one protocol says; ``state`` is an indicator, an outcome, ``not met`` or ``no such rule``; ``note`` the rule."""

    state: str
    words: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One question and each protocol's word on it."""

    title: str
    cells: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        """Whether the protocols do not say the same."""
        return len({(cell.state, cell.words) for cell in self.cells}) > 1

    @property
    def numbers_differ(self) -> bool:
        """Whether the rule has other numbers, though what is said be the same."""
        return len({cell.note for cell in self.cells}) > 1


@dataclass(frozen=True)
class Comparison:
    """The columns, what each recommends, its headlines, and the rules that any of them reports: disagreements first."""

    protocols: tuple[Protocol, ...]
    recommendation: Row
    headlines: tuple[tuple[tuple[str, str], ...], ...]
    rules: tuple[Row, ...]


def in_words(given: Recommendation) -> str:
    """``Hold, resume at 5 mg days 1–28``."""
    words = _SAYS[given.action]
    if given.level is not None:
        words += f": {given.level.brief}"
    return words if given.resume_at is None else f"{words}, resume at {given.resume_at.brief}"


def compare(answers: Mapping[str, Answer]) -> Comparison:
    """The answers to one request, by protocol id; of several orders the first."""
    protocols = tuple(load_protocols()[name] for name in answers)
    judgements = [next(iter(answer.evaluation.judgements), None) for answer in answers.values()]
    findings = [{} if one is None else {finding.id: finding for finding in one.findings} for one in judgements]
    reported = set().union(*findings)
    return Comparison(
        protocols,
        Row("Recommendation", tuple(_recommended(one) for one in judgements)),
        tuple(
            tuple((card["indicator"], card["summary"]) for card in one.response["cards"]) for one in answers.values()
        ),
        tuple(
            sorted(
                (_row(rule, protocols, findings) for rule in RULES if rule.id in reported),
                key=lambda row: (not row.differs, not row.numbers_differ),
            )
        ),
    )


def _recommended(judgement: Judgement | None) -> Cell:
    if judgement is None or judgement.recommendation is None:
        return Cell("none", "No order is judged")
    given = judgement.recommendation
    return Cell(given.action.value, in_words(given))


def _row(rule: Rule, protocols: Sequence[Protocol], findings: Sequence[Mapping[str, Finding]]) -> Row:
    return Row(
        rule.id, tuple(_cell(rule, one, found.get(rule.id)) for one, found in zip(protocols, findings, strict=True))
    )


def _cell(rule: Rule, protocol: Protocol, finding: Finding | None) -> Cell:
    """The rule with this protocol's numbers, whether or not it fired: a limit that is not met is the disagreement."""
    if not rule.applies(protocol):
        return Cell("no such rule", "no such rule")
    statement = protocol.fill(rule.statement)
    if finding is None:
        return Cell("not met", "not met", statement)
    state = finding.indicator.value if finding.outcome is Outcome.FIRED else finding.outcome.value
    return Cell(state, finding.summary, statement)
