"""The override report: per rule and protocol and month, how often advice was shown, accepted, overridden, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import func, select

from hooks.feedback import ACCEPTED, OVERRIDDEN
from hooks.store import CARD, DECISION, FEEDBACK, Store
from hooks.tables import as_csv, as_text
from hooks.wire import Json

NO_REASON = "no reason given"
_HEADS = ("month", "rule", "protocol", "shown", "accepted", "overridden", "override rate", "reasons")


@dataclass
class Line:
    """One rule under one protocol in one month; advice counts once there, however often and at how many hooks it was shown."""

    month: str
    rule: str
    protocol: str
    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """How often a prescriber said something: what is ignored is never reported by a client."""
        return self.accepted + self.overridden

    @property
    def override_rate(self) -> float | None:
        """Overridden of all that was answered."""
        return self.overridden / self.answered if self.answered else None


@dataclass(frozen=True)
class Report:
    """Lines by month, rule and protocol; the rules overridden too often, over all months; feedback on cards not recorded."""

    lines: tuple[Line, ...]
    too_often: tuple[Line, ...]
    unknown_cards: int

    def as_json(self) -> Json:
        """The whole report as plain JSON."""
        return {
            "lines": [_plain(line) for line in self.lines],
            "overridden_too_often": [_plain(line) for line in self.too_often],
            "feedback_on_unknown_cards": self.unknown_cards,
        }

    def as_csv(self) -> str:
        """The lines, each reason with its number."""
        return as_csv(_HEADS, map(_cells, self.lines))

    def as_text(self) -> str:
        """The report as a committee reads it."""
        notes = [
            f"Overridden too often: {line.rule} ({line.protocol}), {line.overridden} of {line.answered} answers"
            for line in self.too_often
        ]
        if self.unknown_cards:
            notes.append(f"Feedback on cards that are not on record: {self.unknown_cards}")
        return "\n".join([as_text(_HEADS, map(_cells, self.lines)), *([""] if notes else []), *notes])


def override_report(
    store: Store, *, since: datetime | None, until: datetime | None, zone: tzinfo, rate: float, at_least: int
) -> Report:
    """Advice shown, and feedback received, from ``since`` until before ``until``.

    A rule is named when more than ``rate`` of its answers were overrides, of ``at_least`` answers.
    """
    shown = _shown(store, since, until)
    # Record systems use ids of drafts again: the same id in another month is another prescription.
    advice: dict[tuple[str, str, str], list[Any]] = {}
    for row in shown:
        month = row.at.astimezone(zone).strftime("%Y-%m")
        advice.setdefault((month, row.client, row.advice), []).append(row)
    answers = _answers(store)
    lines: dict[tuple[str, str, str], Line] = {}
    for (month, client, _), rows in advice.items():
        rule, protocol = rows[0].rule, rows[0].protocol
        line = lines.setdefault((month, rule, protocol), Line(month, rule, protocol))
        given = [answer for uuid in {row.uuid for row in rows} for answer in answers.get((client, uuid), ())]
        _count(line, max(given, key=lambda answer: (answer.at, answer.received, answer.id), default=None))
    ordered = tuple(lines[key] for key in sorted(lines))
    return Report(ordered, tuple(_too_often(ordered, rate, at_least)), _unknown_cards(store, since, until))


def _shown(store: Store, since: datetime | None, until: datetime | None) -> Sequence[Any]:
    """Every showing of a card, in the order of time."""
    query = select(CARD.c.advice, CARD.c.uuid, CARD.c.rule, DECISION.c.client, DECISION.c.protocol, DECISION.c.at)
    query = query.join(DECISION, DECISION.c.id == CARD.c.decision).order_by(DECISION.c.at, DECISION.c.id)
    query = query.where(DECISION.c.at >= since) if since is not None else query
    query = query.where(DECISION.c.at < until) if until is not None else query
    with store.reading() as connection:
        return connection.execute(query).all()


def _answers(store: Store) -> Mapping[tuple[str, str], list[Any]]:
    """All feedback by client and card."""
    given: dict[tuple[str, str], list[Any]] = {}
    columns = FEEDBACK.c
    query = select(
        columns.id, columns.at, columns.received, columns.client, columns.card, columns.outcome, columns.reason
    )
    with store.reading() as connection:
        for row in connection.execute(query):
            given.setdefault((row.client, row.card), []).append(row)
    return given


def _unknown_cards(store: Store, since: datetime | None, until: datetime | None) -> int:
    known = (
        select(CARD.c.uuid)
        .join(DECISION, DECISION.c.id == CARD.c.decision)
        .where((CARD.c.uuid == FEEDBACK.c.card) & (DECISION.c.client == FEEDBACK.c.client))
    )
    query = select(func.count()).select_from(FEEDBACK).where(~known.exists())
    query = query.where(FEEDBACK.c.received >= since) if since is not None else query
    query = query.where(FEEDBACK.c.received < until) if until is not None else query
    with store.reading() as connection:
        return connection.execute(query).scalar_one()


def _count(line: Line, outcome: Any) -> None:
    line.shown += 1
    if outcome is not None and outcome.outcome == ACCEPTED:
        line.accepted += 1
    if outcome is not None and outcome.outcome == OVERRIDDEN:
        line.overridden += 1
        line.reasons[outcome.reason or NO_REASON] += 1


def _too_often(lines: Iterable[Line], rate: float, at_least: int) -> Sequence[Line]:
    whole: dict[tuple[str, str], Line] = {}
    for line in lines:
        total = whole.setdefault((line.rule, line.protocol), Line("", line.rule, line.protocol))
        total.shown += line.shown
        total.accepted += line.accepted
        total.overridden += line.overridden
        total.reasons += line.reasons
    return [
        line
        for line in whole.values()
        if line.override_rate is not None and line.override_rate > rate and line.answered >= at_least
    ]


def _plain(line: Line) -> Json:
    return {
        "month": line.month,
        "rule": line.rule,
        "protocol": line.protocol,
        "shown": line.shown,
        "accepted": line.accepted,
        "overridden": line.overridden,
        "override_rate": None if line.override_rate is None else round(line.override_rate, 4),
        "reasons": _by_number(line.reasons),
    }


def _by_number(reasons: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _cells(line: Line) -> tuple[object, ...]:
    *columns, rate, reasons = _plain(line).values()
    told = ", ".join(f"{reason}: {number}" for reason, number in reasons.items())
    return (*columns, None if rate is None else f"{rate:.0%}", told)
