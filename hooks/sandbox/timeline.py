"""The course as a picture: counts, clearance and dose over the same days, with the protocol's limits as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from cds.case import Case
from cds.episodes import NEUTROPHILS, PLATELETS, Episode
from cds.findings import Evidence, Finding, Indicator, Outcome
from cds.kidney import cap_for, clearances_on, scheduled
from cds.level import CYCLE_DAYS, Level, plain
from cds.parameters import Threshold, printed_unit
from cds.pregnancy import Verdict
from cds.snapshot import Result
from cds.words import NAMES, amount, capital, on, reading
from hooks.answering import Answer
from hooks.wire import Json, number

_CLEARANCE = "clearance"
_TITLES = {NEUTROPHILS: "Neutrophils", PLATELETS: "Platelets", _CLEARANCE: "Creatinine clearance"}
_DRAWN = {NEUTROPHILS, PLATELETS, "creatinine", "hcg", "body-weight", "body-height"}
_EVENTS = ("Condition/", "Procedure/", "Observation/", "AdverseEvent/")
_TEST_MARKS = {Verdict.POSITIVE: "test-positive", Verdict.NEGATIVE: "test-negative"}
_MARGIN = timedelta(days=10)


def timeline(case: Case, answer: Answer) -> Json:
    """All that the picture draws: days as seconds since 1970 in UTC, values as numbers, words as they stand in it."""
    panels = [*_counts(case), _clearance(case)]
    doses, marks = list(_doses(case, answer)), sorted(_marks(case, answer), key=lambda mark: mark["at"])
    told = [
        *(point["at"] for panel in panels for point in panel["points"]),
        *(end for dose in doses for end in (dose["from"], dose["to"])),
        *(mark["at"] for mark in marks),
        _seconds(case.today),
    ]
    margin = int(_MARGIN.total_seconds())
    return {
        "from": min(told) - margin,
        "to": max(told) + margin,
        "now": _seconds(case.today),
        "panels": panels,
        "doses": doses,
        "doses_told": _doses_told(case, marks),
        "episodes": [_episode(episode, case) for episode in case.course.episodes],
        "holds": [
            {"from": _seconds(start), "to": _seconds(end), "label": "no treatment"} for start, end in holds_of(case)
        ],
        "marks": marks,
    }


def holds_of(case: Case) -> Iterator[tuple[date, date]]:
    """The days since maintenance start that no order covers, up to the draft or today."""
    reached = None
    until = case.today if case.regimen is None else min(case.course.draft_start, case.today)
    for period in case.course.periods:
        if reached is not None and reached < min(period.start, until):
            yield reached, min(period.start, until)
        reached = max(reached or period.start, period.end or until)
    if reached is not None and reached < until:
        yield reached, until


def _counts(case: Case) -> Iterator[Json]:
    limits = case.protocol.heme
    for token, interrupt, resume in (
        (NEUTROPHILS, limits.anc_interrupt, limits.anc_resume),
        (PLATELETS, limits.platelets_interrupt, limits.platelets_resume),
    ):
        results = [result for result in case.snapshot.of(token) if result.measurement is not None]
        points = [_point(result, case.today, low=interrupt.holds_for(result.measurement) is True) for result in results]
        lines = _lines((("hold", interrupt), ("resume", resume)))
        yield _panel(token, interrupt.unit, points, lines, results[-1:], case)


def _lines(limits: Iterable[tuple[str, Threshold]]) -> list[Json]:
    """One line a value; what holds at the same value stands on the same line."""
    lines: dict[Decimal, Json] = {}
    for kind, limit in limits:
        words = f"{kind} {limit.comparator.replace('_', ' ')} {plain(limit.value)}"
        line = lines.setdefault(limit.value, {"value": number(limit.value), "kind": kind, "label": ""})
        line["label"] = " · ".join(filter(None, (line["label"], words)))
    return list(lines.values())


def _clearance(case: Case) -> Json:
    """Cockcroft-Gault on each day with a creatinine; of two possible values the lower."""
    points = []
    for day in sorted({result.day for result in case.snapshot.of("creatinine")}):
        clearances = clearances_on(case.snapshot, day)
        if clearances:
            value = round(clearances[0], 1)
            told = f"{plain(value)} mL/min ({on(day, case.today)})"
            points.append(
                {"at": _seconds(day), "value": number(value), "label": told, "low": _is_above_cap(case, day, value)}
            )
    bands = case.protocol.renal.bands
    lines = [
        {
            "value": number(top),
            "kind": "cap",
            "label": f"{band.in_words}: at most {scheduled(case.protocol, band.cap).brief}",
        }
        for band in bands.value
        if (top := band.below if band.below is not None else band.at_most) is not None
    ]
    return _panel(_CLEARANCE, bands.unit, points, lines, [], case)


def _is_above_cap(case: Case, day: date, clearance: Decimal) -> bool:
    """Whether the dose of that day was above what the clearance allows; before any order the draft's dose."""
    cap = cap_for(case.protocol, clearance, dialysis=False)
    taken = [period.level for period in case.course.periods if period.start <= day]
    level = taken[-1] if taken else case.draft_level
    return cap is not None and level is not None and level.cycle_mg > cap.cycle_mg


def _panel(token: str, unit: str, points: list[Json], lines: list[Json], latest: list[Result], case: Case) -> Json:
    title, today = _TITLES[token], case.today
    read_from = "creatinine" if token == _CLEARANCE else token
    unread = sum(item.token == read_from for item in case.snapshot.unread)
    if not points:
        told = "no result that could be read"
    elif latest:
        told = f"{_results(points)}, the latest {reading(latest[0], today)}"
    else:
        told = f"{_results(points)}, the latest {points[-1]['label']}"
    beyond = [point["label"] for point in points if point["low"]]
    if beyond:
        told += f"; beyond the first limit: {', '.join(beyond)}"
    if unread:
        told += f"; not read: {unread}"
    lined = "; ".join(line["label"] for line in lines)
    return {
        "id": token,
        "title": title,
        "unit": printed_unit(unit),
        "points": points,
        "unread": unread,
        "lines": lines,
        "told": f"{title}: {told}. Limits: {lined}.",
    }


def _results(points: list[Json]) -> str:
    return "1 result" if len(points) == 1 else f"{len(points)} results"


def _point(result: Result, today: date, *, low: bool) -> Json:
    return {
        "at": _seconds(result.day),
        "value": number(result.value),
        "label": capital(reading(result, today)),
        "low": low,
    }


def _doses(case: Case, answer: Answer) -> Iterator[Json]:
    for period in case.course.periods:
        end = period.end or case.today
        state = "stopped" if period.interrupted else "given"
        yield _dose(period.start, max(end, period.start), period.level, state)
    for judgement in answer.evaluation.judgements:
        if judgement.regimen is not None:
            start = judgement.case.course.draft_start
            yield _dose(start, start + timedelta(days=CYCLE_DAYS), judgement.case.draft_level, "draft")


def _dose(start: date, end: date, level: Level | None, state: str) -> Json:
    return {
        "from": _seconds(start),
        "to": _seconds(end),
        "mg": None if level is None else number(level.dose_mg),
        "label": "dose not known" if level is None else level.brief,
        "state": state,
    }


def _doses_told(case: Case, marks: list[Json]) -> str:
    """The steps, the drops and the marks in sentences."""
    steps: list[str] = []
    for period in case.course.periods:
        words = "an unknown dose" if period.level is None else period.level.brief
        if not steps or not steps[-1].startswith(words):
            steps.append(f"{words} from {on(period.start, case.today)}")
    holds = [f"{on(start, case.today)} to {on(end, case.today)}" for start, end in holds_of(case)]
    given = "; ".join(steps) or "no earlier order"
    paused = f" Without treatment: {'; '.join(holds)}." if holds else ""
    drafted = "" if case.draft_level is None else f" The draft: {case.draft_level.brief}."
    drops = "".join(
        f" Drop {one.number} in {_lineages(one)} on {on(one.opened, case.today)}, "
        f"{'not recovered' if one.closed is None else f'recovered on {on(one.closed, case.today)}'}."
        for one in case.course.episodes
    )
    marked = "; ".join(f"{mark['label']} on {on(_day(mark['at']), case.today)}" for mark in marks)
    return f"Lenalidomide dose: {given}.{paused}{drafted}{drops}{f' Marks: {marked}.' if marked else ''}"


def _episode(episode: Episode, case: Case) -> Json:
    return {
        "from": _seconds(episode.opened),
        "to": _seconds(episode.closed or case.today),
        "label": f"drop {episode.number}: {_lineages(episode)}{'' if episode.closed else ', not recovered'}",
    }


def _lineages(episode: Episode) -> str:
    return " and ".join(_TITLES[lineage].casefold() for lineage in sorted(episode.lineages))


def _marks(case: Case, answer: Answer) -> Iterator[Json]:
    for transplant in case.course.transplants:
        if transplant.day is not None:
            yield _mark("transplant", transplant.day, "Transplant")
    for test in case.pregnancy.tests:
        kind = _TEST_MARKS.get(test.verdict, "test-unclear")
        yield _mark(kind, test.day, f"Pregnancy test: {amount(test.result)}")
    for unread in case.pregnancy.unread_tests:
        if unread.day is not None:
            yield _mark("test-unclear", unread.day, "Pregnancy test that could not be read")
    seen: set[str | None] = {transplant.reference for transplant in case.course.transplants}
    for judgement in answer.evaluation.judgements:
        for finding in judgement.findings:
            for fact in finding.evidence if _is_told(finding) else ():
                is_event = (fact.reference or "").startswith(_EVENTS) and fact.fact not in _DRAWN
                if is_event and fact.effective is not None and fact.reference not in seen:
                    seen.add(fact.reference)
                    yield _mark("event", fact.effective, _event(fact))


def _is_told(finding: Finding) -> bool:
    """Whether what it rests on is worth a mark."""
    return finding.outcome is Outcome.FIRED and finding.indicator is not Indicator.INFO


def _event(fact: Evidence) -> str:
    if fact.unit is None:
        return capital(str(fact.value or fact.fact))
    value = plain(fact.value) if isinstance(fact.value, Decimal) else str(fact.value)
    return f"{NAMES.get(fact.fact, fact.fact)} {value} {printed_unit(fact.unit)}"


def _mark(kind: str, day: date, label: str) -> Json:
    return {"kind": kind, "at": _seconds(day), "label": label}


def _day(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
