"""The rules, by area; their order is the order of the catalogue."""

from cds.rules import course_changes, dosing, eligibility, heme, monitoring, renal, supply
from cds.rules.rule import Report, Rule, rule

RULES: tuple[Rule, ...] = (
    *dosing.RULES,
    *course_changes.RULES,
    *renal.RULES,
    *heme.RULES,
    *supply.RULES,
    *monitoring.RULES,
    *eligibility.RULES,
)

__all__ = ["RULES", "Report", "Rule", "rule"]
