"""The explanation of an answer, typed, and its comparison with what a case expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import simplejson

from cds.level import plain
from tests.support.case import Expectation, Facts

_EXTENSION = "org.lenalidomide-maintenance.evaluation"


@dataclass(frozen=True)
class ReportedFinding:
    """One entry of the explanation's findings."""

    rule: str
    indicator: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.indicator}{'' if self.outcome == 'fired' else ', ' + self.outcome})"


@dataclass(frozen=True)
class Outcome:
    """What was recommended for the first draft, and why."""

    action: str | None
    level: str | None
    resume_at: str | None
    findings: tuple[ReportedFinding, ...]
    facts: Mapping[str, Any]
    cards: str

    @classmethod
    def of(cls, response: Mapping[str, Any]) -> Outcome:
        """From the explanation in a response; a response without one is an assertion failure."""
        drafts = response.get("extension", {}).get(_EXTENSION, {}).get("drafts")
        assert drafts, f"the answer explains no draft; its cards: {[card.get('summary') for card in response['cards']]}"
        recommendation = drafts[0]["recommendation"] or {}
        return cls(
            action=recommendation.get("action"),
            level=_level(recommendation.get("level")),
            resume_at=_level(recommendation.get("resume_at")),
            findings=tuple(
                ReportedFinding(one["id"], one["indicator"], one["outcome"]) for one in drafts[0]["findings"]
            ),
            facts=drafts[0]["facts"],
            cards=simplejson.dumps(response["cards"], use_decimal=True, ensure_ascii=False),
        )


def assert_as_expected(heading: str, expect: Expectation, response: Mapping[str, Any]) -> None:
    """Compare every expectation, and list all that is not met in one message."""
    outcome = Outcome.of(response)
    mismatches = list(_mismatches(expect, outcome))
    if mismatches:
        lines = [heading, *(f"  {mismatch}" for mismatch in mismatches)]
        lines.append(f"  recommended: {outcome.action}, level {outcome.level}, resume at {outcome.resume_at}")
        lines.append(f"  findings: {'; '.join(str(finding) for finding in outcome.findings) or 'none'}")
        pytest.fail("\n".join(lines), pytrace=False)


def _mismatches(expect: Expectation, outcome: Outcome) -> Iterator[str]:
    if expect.action is not None:
        yield from _differs("action", expect.action, outcome.action)
        yield from _differs("level", expect.level, outcome.level)
        if "resume_at" in expect.model_fields_set:
            yield from _differs("resume_at", expect.resume_at, outcome.resume_at)
    yield from _differing_findings(expect, outcome.findings)
    yield from _differing_facts(expect.facts, outcome.facts)
    yield from (f"cards: expected to say '{text}'" for text in expect.cards if text not in outcome.cards)
    yield from (f"cards: expected not to say '{text}'" for text in expect.unsaid if text in outcome.cards)


def _differing_findings(expect: Expectation, findings: tuple[ReportedFinding, ...]) -> Iterator[str]:
    fired: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding.outcome == "fired":
            fired[finding.rule].add(finding.indicator)
    for rule, indicator in expect.fires.items():
        if indicator not in fired[rule]:
            yield f"{rule}: expected {indicator}, got {' and '.join(sorted(fired[rule])) or 'silence'}"
    for rule in expect.silent:
        if fired[rule]:
            yield f"{rule}: expected silence, got {' and '.join(sorted(fired[rule]))}"
    unknown = {finding.rule for finding in findings if finding.outcome == "unknown"}
    for rule in expect.unknown:
        if rule not in unknown:
            yield f"{rule}: expected to be reported as unknown"
    yield from (f"{finding.rule}: could not be evaluated" for finding in findings if finding.outcome == "failed")


def _differing_facts(expected: Facts, reported: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(expected.model_fields_set):
        got = reported.get(name)
        if name == "current_level":
            got = _level(got)
        elif isinstance(got, Mapping):
            got = f"{got['low']} to {got['high']}"
        elif isinstance(got, float):
            got = Decimal(str(got))
        yield from _differs(f"facts.{name}", getattr(expected, name), got)


def _differs(what: str, expected: object, got: object) -> Iterator[str]:
    if expected != got:
        yield f"{what}: expected {expected}, got {got}"


def _level(level: Mapping[str, Any] | None) -> str | None:
    return None if level is None else f"{plain(Decimal(str(level['dose_mg'])))}/{level['schedule_days']}"
