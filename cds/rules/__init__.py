"""The rules, by area; their order is the order of the catalogue."""

from cds.rules import (
    comorbidity,
    course_changes,
    disease,
    dosing,
    eligibility,
    heme,
    hypersensitivity,
    infections,
    interaction,
    liver_thyroid_hepatitis,
    monitoring,
    other_cancers,
    pregnancy_prevention,
    renal,
    supply,
    teratogenicity,
    thrombosis_prophylaxis,
    trial_exclusions,
    vte,
)
from cds.rules.rule import Report, Rule, rule

RULES: tuple[Rule, ...] = (
    *dosing.RULES,
    *course_changes.RULES,
    *renal.RULES,
    *heme.RULES,
    *teratogenicity.RULES,
    *pregnancy_prevention.RULES,
    *vte.RULES,
    *thrombosis_prophylaxis.RULES,
    *interaction.RULES,
    *supply.RULES,
    *monitoring.RULES,
    *liver_thyroid_hepatitis.RULES,
    *other_cancers.RULES,
    *eligibility.RULES,
    *hypersensitivity.RULES,
    *disease.RULES,
    *comorbidity.RULES,
    *infections.RULES,
    *trial_exclusions.RULES,
)

__all__ = ["RULES", "Report", "Rule", "rule"]
