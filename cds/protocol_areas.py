"""The named parameters of a protocol, by area. An optional parameter that no file gives is None: no such rule."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator

from cds.parameters import (
    Choice,
    CycleWindows,
    DoseLevel,
    Doses,
    Flag,
    Ladder,
    Listed,
    Points,
    RenalBands,
    Strict,
    Threshold,
)

SINGLE_STEP, STEPWISE = "single step", "step by step"
"""The two kinds of ``dosing.escalation``; the third word is ``none``."""
ENDS_WHEN_REFRACTORY, WEIGHED = "refractory to steroids it ends treatment", "weighed"
"""The two words of ``eligibility.gvhd``."""
HOLD, ADVISE_AGAINST = "hold", "advise against"
"""The two words of ``pregnancy.breastfeeding``."""


FOR_ALL, REQUIRED, BY_RISK, AFTER_AN_EVENT = "for all", "required by the protocol", "by risk factors", "after an event"
"""The four words of ``vte.prophylaxis``."""

CONTRACEPTIVE_METHODS = frozenset(
    {
        "tubal-ligation",
        "vasectomy",
        "intrauterine-device",
        "hormonal-intrauterine-system",
        "contraceptive-implant",
        "contraceptive-injection",
        "combined-hormonal-contraceptive",
        "desogestrel-pill",
        "progestogen-only-pill",
        "hormonal-contraceptive",
        "male-condom",
        "diaphragm",
        "cervical-cap",
        "abstinence",
    }
)
"""What a diagnosis, a procedure, a device, a drug or an answer may name as a method of contraception."""


def _of_items(*items: str) -> AfterValidator:
    """The code counts these items and no others."""

    def check(parameter: Points) -> Points:
        if set(parameter.value) != set(items):
            msg = f"items are {sorted(parameter.value)}, expected {sorted(items)}"
            raise ValueError(msg)
        return parameter

    return AfterValidator(check)


_WithUnit = TypeVar("_WithUnit", Threshold, Doses, RenalBands, CycleWindows)


def _in_unit(unit: str) -> AfterValidator:
    """The rules compare with this unit, so a file that gives another one is refused, not converted."""

    def check(parameter: _WithUnit) -> _WithUnit:
        if parameter.unit != unit:
            msg = f"unit is '{parameter.unit}', expected '{unit}'"
            raise ValueError(msg)
        return parameter

    return AfterValidator(check)


Count = Annotated[Threshold, _in_unit("10*9/L")]
Days = Annotated[Threshold, _in_unit("days")]
Hours = Annotated[Threshold, _in_unit("hours")]
Weeks = Annotated[Threshold, _in_unit("weeks")]
Gonadotropin = Annotated[Threshold, _in_unit("mIU/mL")]
Months = Annotated[Threshold, _in_unit("months")]
Years = Annotated[Threshold, _in_unit("years")]
DailyDose = Annotated[Threshold, _in_unit("mg/day")]
Clearance = Annotated[Threshold, _in_unit("mL/min")]
BodyMassIndex = Annotated[Threshold, _in_unit("kg/m2")]
Cycles = Annotated[Threshold, _in_unit("completed cycles")]
Drops = Annotated[Threshold, _in_unit("drops")]
Refills = Annotated[Threshold, _in_unit("refills")]
Grade = Annotated[Threshold, _in_unit("(CTCAE grade)")]
Haemoglobin = Annotated[Threshold, _in_unit("g/dL")]
Percent = Annotated[Threshold, _in_unit("%")]
ByWeight = Annotated[Threshold, _in_unit("mg/kg")]
InternationalUnits = Annotated[Threshold, _in_unit("IU/day")]
Cycle = Annotated[Threshold, _in_unit("mg in 28 days")]
Score = Annotated[Threshold, _in_unit("points")]
Factors = Annotated[Threshold, _in_unit("factors")]
TimesUpperLimit = Annotated[Threshold, _in_unit("times the upper limit of normal")]


class Dosing(Strict):
    """Area dosing: start, ladder, ceilings, escalation, duration."""

    start_level: DoseLevel
    ladder: Ladder
    ceiling: DailyDose
    maximum_daily_dose: DailyDose
    maintenance_order: DailyDose
    induction_daily_dose: DailyDose
    induction_any_schedule: DailyDose
    daily_doses: Annotated[Doses, _in_unit("mg")]
    combination_doses: Annotated[Doses, _in_unit("mg")]
    steroid_prednisone: DailyDose
    escalation: Choice
    escalation_from: DoseLevel | None = None
    escalation_to: DoseLevel | None = None
    escalation_cycles: Cycles | None = None
    escalation_months: Months | None = None
    escalation_anc: Count
    escalation_platelets: Count
    duration_on_maintenance: Years | None = None
    duration_after_transplant: Years | None = None
    duration_stringent_response: Months | None = None
    gap_unexplained: Days
    gap_unknown: Days


class Renal(Strict):
    """Area renal: caps by creatinine clearance and in dialysis."""

    bands: Annotated[RenalBands, _in_unit("mL/min")]
    dialysis_cap: DoseLevel
    cap_schedule: Choice | None = None
    every_other_day_dose: DoseLevel | None = None
    unstocked_alternative: DoseLevel | None = None
    severe: Clearance
    exclusion: Clearance | None = None
    dialysis_recent: Days
    obesity: BodyMassIndex


class Heme(Strict):
    """Area heme: start counts, interruption, resumption."""

    start_anc: Count
    start_platelets: Count
    start_one_low: Choice
    start_both_low: Choice
    anc_interrupt: Count
    platelets_interrupt: Count
    anc_resume: Count
    platelets_resume: Count
    anc_watch: Count
    platelets_watch: Count
    gcsf_keeps_dose: Flag
    gcsf_other_cytopenia: Count
    day1_delay: Days | None = None
    wait_next_cycle_platelets: Flag | None = None
    wait_next_cycle_neutrophils: Drops | None = None
    lowest_level_stop_anc: Count | None = None
    lowest_level_stop_platelets: Count | None = None
    lowest_level_watch_anc: Count | None = None
    lowest_level_watch_platelets: Count | None = None


class Freshness(Strict):
    """How old a result may be."""

    cbc_new_start: Days
    cbc_by_cycle: Annotated[CycleWindows, _in_unit("days")]
    cbc_after_interruption: Days
    creatinine_close: Days
    creatinine_continuing: Days
    creatinine_close_clearance: Clearance
    weight: Days
    liver_new_start: Days
    liver_continuing: Days
    tsh_new_start: Days
    tsh_continuing: Days
    hepatitis_screen: Choice
    cancer_screen: Months


class Liver(Strict):
    """When liver tests hold treatment."""

    transaminases_hold: TimesUpperLimit
    bilirubin_hold: TimesUpperLimit


class Reactions(Strict):
    """Non-haematological reactions by CTCAE grade."""

    hold_grade: Grade
    consider_grade: Grade
    permanent_stop_rash_grade: Grade
    open_critical_grade: Grade


class Supply(Strict):
    """Area supply: days, refills, validity, early fill."""

    days_able_to_conceive: Days
    days_other: Days
    refills: Refills | None = None
    validity_able_to_conceive: Days | None = None
    validity_other: Days | None = None
    days_left_at_fill: Days | None = None


class Reproduction(Strict):
    """Who can become pregnant."""

    family: Choice
    menopause_months: Months
    menopause_age: Years
    presumed_age: Years


class Pregnancy(Strict):
    """Area teratogenicity: tests, breastfeeding, and what men and women are told."""

    hcg_positive: Gonadotropin
    hcg_negative: Gonadotropin
    assay_sensitivity: Gonadotropin
    positive_needs_two_negatives: Days
    record_counts: Days
    breastfeeding: Choice
    breastfeeding_counts: Days
    first_test_from: Days | None = None
    first_test_until: Days | None = None
    second_test: Hours | None = None
    single_first_test: Days | None = None
    per_prescription: Days
    weekly_period: Days | None = None
    weekly_interval: Days | None = None
    test_interval: Days
    irregular_interval: Days | None = None
    tubal_sterilisation_exempt: Flag | None = None
    reported_to: Choice
    after_stopping: Weeks
    condom: Choice
    condom_use: Choice


class Contraception(Strict):
    """Area teratogenicity: which contraception suffices, and since when."""

    lead: Days
    tail: Weeks
    effective: Listed
    additional: Listed | None = None
    report_counts: Days
    oestrogen: Listed
    oestrogen_advice: Choice


class Interaction(Strict):
    """Area interaction: windows of tests and of other drugs."""

    digoxin_level: Days
    inr: Days
    esa_haemoglobin: Haemoglobin | None = None
    statin_watch: Weeks | None = None
    pd1_ended: Days
    overlap: Days


class Thrombosis(Strict):
    """Area vte: events, risk scores, prophylaxis, and which dose of an anticoagulant treats."""

    active_event: Days
    after_event: Choice
    recent_event: Days
    recent_event_is: Choice
    impede: Annotated[
        Points,
        _of_items(
            "lenalidomide",
            "bmi",
            "fracture",
            "erythropoietin",
            "high-dose-dexamethasone",
            "low-dose-dexamethasone",
            "doxorubicin",
            "asian-or-pacific-islander",
            "vte-history",
            "central-line",
            "therapeutic-anticoagulation",
            "prophylaxis",
        ),
    ]
    impede_intermediate: Score
    impede_high: Score
    impede_bmi: BodyMassIndex
    fracture_counts: Months
    saved: Annotated[
        Points,
        _of_items("surgery", "asian", "vte-history", "age", "high-dose-dexamethasone", "standard-dose-dexamethasone"),
    ]
    saved_high: Score
    saved_age: Years
    high_dose_dexamethasone: Cycle
    standard_dose_dexamethasone: Cycle
    surgery_counts: Days
    infection_counts: Days
    line_counts: Days
    imwg_bmi: BodyMassIndex
    imwg_high: Factors
    imwg_dexamethasone: Cycle
    prophylaxis: Choice
    aspirin_dose: Annotated[Doses, _in_unit("mg")]
    prophylaxis_platelets: Count
    anticoagulant_platelets: Count
    acute_clot: Choice
    anticoagulant_reduce: Count
    anticoagulant_suspend: Count
    treats_at_any_dose: Listed
    enoxaparin_prevents: DailyDose
    apixaban_prevents: DailyDose
    rivaroxaban_prevents: DailyDose
    fondaparinux_prevents: DailyDose
    enoxaparin_treats_by_weight: ByWeight
    dabigatran_treats: DailyDose
    dalteparin_prevents: InternationalUnits
    tinzaparin_prevents: InternationalUnits


class Eligibility(Strict):
    """Area eligibility: what the protocol excludes, or wants to be weighed."""

    transplant: Choice
    child: Years
    older_than_trial: Years | None = None
    not_represented: Years
    mild_hypersensitivity: Choice
    analogue_hypersensitivity: Choice
    excludes_stable_disease: Flag | None = None
    refractory: Choice
    plasma_cell_leukaemia: Choice
    anti_hbc: Choice
    gvhd: Choice
    hepatitis_advice: Choice
    past_hepatitis: Flag | None = None
    hiv: Choice | None = None
    liver: TimesUpperLimit | None = None
    ejection_fraction: Percent | None = None
    diffusing_capacity: Percent | None = None
    exposure: Days | None = None
    start_from: Days | None = None
    start_until: Days | None = None
    new_cancer_stops: Flag | None = None
    prior_cancer: Years | None = None
    prior_cancer_remission: Years | None = None
    infarction: Months | None = None
    cardiac: Listed | None = None
