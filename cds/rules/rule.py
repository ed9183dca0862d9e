"""What a rule is: one object that checks, says and cites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cds.case import Case
from cds.faults import whereabouts
from cds.findings import Action, Correction, DrugOffer, Evidence, Finding, Indicator, Outcome
from cds.protocol import Protocol


@dataclass(frozen=True)
class Report:
    """What a rule's check found in one case; the rule adds its id, its statement and its sources."""

    indicator: Indicator
    summary: str
    advice: str = ""
    evidence: tuple[Evidence, ...] = ()
    action: Action | None = None
    order_tests: tuple[str, ...] = ()
    order_drugs: tuple[DrugOffer, ...] = ()
    corrections: tuple[Correction, ...] = ()
    outcome: Outcome = Outcome.FIRED
    found_before: bool = False
    waits_for_dose: bool = False
    alone: bool = False


Check = Callable[[Case], Report | None]


@dataclass(frozen=True, slots=True)
class Wording:
    """What a finding says of its rule under one protocol, whatever the case."""

    rule: str
    sources: tuple[str, ...]
    inherited_from: str | None


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule of the catalogue.

    ``statement`` takes the protocol's numbers through ``{area.name}`` placeholders; ``cites`` names the parameters whose
    sources the finding shows, ``sources`` those that belong to no parameter; ``applies`` tells whether a protocol has such
    a rule at all.
    """

    id: str
    statement: str
    cites: tuple[str, ...]
    sources: tuple[str, ...]
    needs_draft: bool
    applies: Callable[[Protocol], bool]
    check: Check

    def run(self, case: Case) -> Finding | None:
        """The finding in one case; a crash becomes a finding of its own, so that it hides nothing and is not hidden."""
        try:
            report = self.check(case)
        except Exception as error:  # noqa: BLE001 -- one faulty rule must never take the others' advice with it
            return Finding(
                self.id,
                Indicator.WARNING,
                summary=f"Rule {self.id} could not be evaluated",
                advice=f"Check this point by hand; the fault ({type(error).__name__}) is in the software.",
                rule=case.protocol.fill(self.statement),
                outcome=Outcome.FAILED,
                fault=whereabouts(error),
            )
        return None if report is None else self._finding(report, case.protocol)

    def speaks(self, protocol: Protocol, *, of_a_draft: bool) -> bool:
        """Whether a protocol has the rule, and it has something to speak of."""
        return (of_a_draft or not self.needs_draft) and self.applies(protocol)

    def _finding(self, report: Report, protocol: Protocol) -> Finding:
        wording = _wording(self, protocol)
        return Finding(
            id=self.id,
            indicator=report.indicator,
            summary=report.summary,
            advice=report.advice,
            rule=wording.rule,
            evidence=report.evidence,
            sources=wording.sources,
            inherited_from=wording.inherited_from,
            outcome=report.outcome,
            action=report.action,
            order_tests=report.order_tests,
            order_drugs=report.order_drugs,
            corrections=report.corrections,
            found_before=report.found_before,
            waits_for_dose=report.waits_for_dose,
            alone=report.alone,
        )

    def citations(self, protocol: Protocol) -> tuple[str, ...]:
        """Sources and places, each once."""
        parameters = [protocol.parameter(path) for path in self.cites]
        cited = [cite for parameter in parameters if parameter is not None for cite in parameter.citations]
        return tuple(dict.fromkeys((*cited, *self.sources)))

    def inherited_from(self, protocol: Protocol) -> str | None:
        """The protocol from which a cited parameter was taken, if any was."""
        parameters = [protocol.parameter(path) for path in self.cites]
        return next((found.inherited_from for found in parameters if found is not None and found.inherited_from), None)


@lru_cache(maxsize=1024)
def _wording(rule: Rule, protocol: Protocol) -> Wording:
    return Wording(protocol.fill(rule.statement), rule.citations(protocol), rule.inherited_from(protocol))


def rule(
    rule_id: str,
    statement: str,
    *,
    cites: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
    needs_draft: bool = True,
    applies: Callable[[Protocol], bool] = lambda _: True,
) -> Callable[[Check], Rule]:
    """Make a rule of a check."""

    def decorate(check: Check) -> Rule:
        return Rule(rule_id, statement, cites, sources, needs_draft, applies, check)

    return decorate
