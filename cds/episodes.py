"""Cytopenia episodes ("drops") since maintenance start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from cds import counted
from cds.parameters import Threshold
from cds.protocol import Protocol
from cds.snapshot import PatientSnapshot, Result

NEUTROPHILS, PLATELETS = "anc", "platelets"


@dataclass
class Episode:
    """One drop: from the first count below the interruption line until both lineages are recovered on a later day."""

    opened: date
    number: int
    lineages: set[str] = field(default_factory=set)
    still_low: set[str] = field(default_factory=set)
    nadirs: dict[str, Result] = field(default_factory=dict)
    lowest_platelets: Result | None = None
    closed: date | None = None

    @property
    def is_open(self) -> bool:
        """Whether a lineage is still low."""
        return self.closed is None


@dataclass(frozen=True)
class _Day:
    """What the counts of one lineage on one day say. ``lows`` are those below the line; ``recovered`` by the day's end."""

    results: list[Result]
    lows: list[Result]
    recovered: bool


def cytopenia_episodes(snapshot: PatientSnapshot, protocol: Protocol, since: date | None) -> tuple[Episode, ...]:
    """Episodes of the course, oldest first; none before ``since`` (an engraftment nadir is not a drop)."""
    if since is None:
        return ()
    limits = {
        NEUTROPHILS: (protocol.heme.anc_interrupt, protocol.heme.anc_resume),
        PLATELETS: (protocol.heme.platelets_interrupt, protocol.heme.platelets_resume),
    }
    counts = {lineage: counted.since(snapshot.of(lineage), since) for lineage in limits}
    first_lows = [_first_low(counts[lineage], interrupt) for lineage, (interrupt, _) in limits.items()]
    opened = min((day for day in first_lows if day is not None), default=None)
    if opened is None:
        return ()
    days: dict[date, dict[str, _Day]] = defaultdict(dict)
    for lineage, (interrupt, resume) in limits.items():
        by_day: dict[date, list[Result]] = defaultdict(list)
        for result in counted.since(counts[lineage], opened):
            by_day[result.day].append(result)
        for day, results in by_day.items():
            days[day][lineage] = _read_day(results, interrupt, resume)
    return _walk(sorted(days.items()))


def _first_low(results: Iterable[Result], interrupt: Threshold) -> date | None:
    return next((result.day for result in results if interrupt.holds_for(result.measurement)), None)


def _read_day(results: list[Result], interrupt: Threshold, resume: Threshold) -> _Day:
    lows = [result for result in results if interrupt.holds_for(result.measurement) is True]
    # A preliminary result may open an episode but never close one.
    finals = [result for result in results if not result.only_against]
    ending = counted.last_of_day(finals + [low for low in lows if low.only_against]) if finals else []
    recovered = bool(ending) and all(
        not result.only_against and resume.holds_for(result.measurement) is True for result in ending
    )
    return _Day(results, lows, recovered)


def _walk(days: Iterable[tuple[date, dict[str, _Day]]]) -> tuple[Episode, ...]:
    episodes: list[Episode] = []
    for day, lineages in days:
        current = episodes[-1] if episodes and episodes[-1].is_open else None
        low_today = {lineage for lineage, counts in lineages.items() if counts.lows}
        if current is None and not low_today:
            continue
        if current is None:
            current = Episode(day, len(episodes) + 1)
            episodes.append(current)
        _record(current, lineages)
        if day > current.opened:
            current.still_low -= {lineage for lineage, counts in lineages.items() if counts.recovered}
        if not current.still_low:
            current.closed = day
    return tuple(episodes)


def _record(episode: Episode, lineages: dict[str, _Day]) -> None:
    for lineage, counts in lineages.items():
        for low in counts.lows:
            episode.lineages.add(lineage)
            episode.still_low.add(lineage)
            nadir = episode.nadirs.get(lineage)
            if nadir is None or low.value < nadir.value:
                episode.nadirs[lineage] = low
        if lineage == PLATELETS:
            for result in counts.results:
                if episode.lowest_platelets is None or result.value < episode.lowest_platelets.value:
                    episode.lowest_platelets = result
