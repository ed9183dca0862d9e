"""The named parameters of a protocol, by area. An optional parameter that no file gives is None: no such rule."""

from __future__ import annotations

from cds.parameters import Choice, CycleWindows, DoseLevel, Doses, Flag, Ladder, RenalBands, Strict, Threshold

SINGLE_STEP, STEPWISE = "single step", "step by step"
"""The two kinds of ``dosing.escalation``; the third word is ``none``."""


class Dosing(Strict):
    """Area dosing: start, ladder, ceilings, escalation, duration."""

    start_level: DoseLevel
    ladder: Ladder
    ceiling: Threshold
    maximum_daily_dose: Threshold
    maintenance_order: Threshold
    induction_daily_dose: Threshold
    induction_any_schedule: Threshold
    daily_doses: Doses
    combination_doses: Doses
    steroid_prednisone: Threshold
    escalation: Choice
    escalation_from: DoseLevel | None = None
    escalation_to: DoseLevel | None = None
    escalation_cycles: Threshold | None = None
    escalation_months: Threshold | None = None
    escalation_anc: Threshold
    escalation_platelets: Threshold
    duration_on_maintenance: Threshold | None = None
    duration_after_transplant: Threshold | None = None
    duration_stringent_response: Threshold | None = None
    gap_unexplained: Threshold
    gap_unknown: Threshold


class Renal(Strict):
    """Area renal: caps by creatinine clearance and in dialysis."""

    bands: RenalBands
    dialysis_cap: DoseLevel
    cap_schedule: Choice | None = None
    every_other_day_dose: DoseLevel | None = None
    unstocked_alternative: DoseLevel | None = None
    severe: Threshold
    exclusion: Threshold | None = None
    dialysis_recent: Threshold
    obesity: Threshold


class Heme(Strict):
    """Area heme: start counts, interruption, resumption."""

    start_anc: Threshold
    start_platelets: Threshold
    start_one_low: Choice
    start_both_low: Choice
    anc_interrupt: Threshold
    platelets_interrupt: Threshold
    anc_resume: Threshold
    platelets_resume: Threshold
    anc_watch: Threshold
    platelets_watch: Threshold
    gcsf_keeps_dose: Flag
    gcsf_other_cytopenia: Threshold
    day1_delay: Threshold | None = None
    wait_next_cycle_platelets: Flag | None = None
    wait_next_cycle_neutrophils: Threshold | None = None
    lowest_level_stop_anc: Threshold | None = None
    lowest_level_stop_platelets: Threshold | None = None
    lowest_level_watch_anc: Threshold | None = None
    lowest_level_watch_platelets: Threshold | None = None


class Freshness(Strict):
    """How old a result may be."""

    cbc_new_start: Threshold
    cbc_by_cycle: CycleWindows
    cbc_after_interruption: Threshold
    creatinine_close: Threshold
    creatinine_continuing: Threshold
    creatinine_close_clearance: Threshold
    weight: Threshold


class Liver(Strict):
    """When liver tests hold treatment."""

    transaminases_hold: Threshold
    bilirubin_hold: Threshold


class Reactions(Strict):
    """Non-haematological reactions by CTCAE grade."""

    hold_grade: Threshold
    consider_grade: Threshold
    permanent_stop_rash_grade: Threshold
    open_critical_grade: Threshold


class Supply(Strict):
    """Area supply: days, refills, validity, early fill."""

    days_able_to_conceive: Threshold
    days_other: Threshold
    refills: Threshold | None = None
    validity_able_to_conceive: Threshold | None = None
    validity_other: Threshold | None = None
    days_left_at_fill: Threshold | None = None


class Reproduction(Strict):
    """Who can become pregnant."""

    family: Choice
    menopause_months: Threshold
    menopause_age: Threshold
    presumed_age: Threshold


class Eligibility(Strict):
    """Area eligibility, as far as it is built."""

    transplant: Choice
    child: Threshold
    older_than_trial: Threshold | None = None
    not_represented: Threshold
