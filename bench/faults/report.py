"""What a load run says at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, quantiles

from bench.faults.running import Use
from bench.faults.traffic import Tally

_ON_ITS_WAY = 3.0  # seconds in which a killed worker's calls are cut off


@dataclass(frozen=True)
class Fault:
    """Something that failed, in seconds of ``time.monotonic``."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Outcome:
    """A whole run. ``capacity`` in calls a second; ``lost`` of what was acknowledged; ``drained`` in seconds after the end."""

    minutes: float
    share: float
    capacity: float
    tally: Tally
    faults: Sequence[Fault]
    uses: Sequence[Use]
    lost: dict[str, int]
    drained: float


def failures(outcome: Outcome) -> list[str]:
    """What must not have happened."""
    found = [f"a wrong answer: {one}" for one in outcome.tally.wrong]
    found += [f"{what} lost: {number}" for what, number in outcome.lost.items() if number]
    return found + [why for at, why in outcome.tally.failed if not _was_cut_off(at, outcome)]


def report(outcome: Outcome) -> str:
    """The report in Markdown."""
    return "\n".join(_lines(outcome)) + "\n"


def _lines(outcome: Outcome) -> Iterator[str]:
    tally = outcome.tally
    cut_off = sum(_was_cut_off(at, outcome) for at, _ in tally.failed)
    yield f"{outcome.minutes:g} minutes at {outcome.share:.0%} of {outcome.capacity:.0f} calls a second."
    yield ""
    yield "| what | |"
    yield "| --- | --- |"
    for status, number in sorted(tally.statuses.items()):
        yield f"| {status} | {number} |"
    yield f"| milliseconds, whole requests | {_spread(tally.whole)} |"
    yield f"| milliseconds, five keys to fetch | {_spread(tally.lacking)} |"
    yield f"| of these, not all could be fetched, and a card said so | {tally.unchecked} |"
    for name, times in Counter(fault.name for fault in outcome.faults).items():
        seconds = mean(fault.ended - fault.began for fault in outcome.faults if fault.name == name)
        yield f"| {name} | {times} times" + ("" if name == "worker killed" else f" for {seconds:.0f} s") + " |"
    yield f"| calls cut off by a worker's death | {cut_off} |"
    yield f"| answers compared and wrong | {len(tally.wrong)} |"
    yield f"| decisions answered, and lost | {len(tally.decisions)}, {outcome.lost['decisions']} |"
    yield f"| feedback acknowledged, and lost | {len(tally.feedback)}, {outcome.lost['feedback']} |"
    yield f"| all records in the database after the end | {outcome.drained:.1f} s |"
    yield f"| private megabytes of all workers | {_course([use.megabytes for use in outcome.uses])} |"
    yield f"| open files of all workers | {_course([use.files for use in outcome.uses])} |"
    for failure in failures(outcome)[:20]:
        yield f"| **failed** | {failure} |"


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:  # noqa: PLR2004 -- as many as a spread needs
        return "none"
    cuts = [cut * 1000 for cut in quantiles(seconds, n=100)]
    return f"median {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f}, longest {max(seconds) * 1000:.0f}"


def _course(values: Sequence[float]) -> str:
    """At the start, and in each quarter of the time."""
    quarter = max(1, len(values) // 4)
    quarters = [mean(values[start : start + quarter]) for start in range(0, quarter * 4, quarter) if values[start:]]
    return f"{values[0]:.0f} at the start; " + ", ".join(f"{one:.0f}" for one in quarters) + " in the quarters"


def _was_cut_off(at: float, outcome: Outcome) -> bool:
    kills = [fault.began for fault in outcome.faults if fault.name == "worker killed"]
    return any(began - 0.1 <= at <= began + _ON_ITS_WAY for began in kills)
