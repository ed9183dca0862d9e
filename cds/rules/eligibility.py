"""Area eligibility, as far as it is built: indication, transplant, age, kidney exclusion."""

from __future__ import annotations

from cds.case import Case
from cds.findings import Action, Evidence, Indicator, Outcome
from cds.rules.rule import Report, rule
from cds.words import listed, of_record, on

_MYELOMA = "multiple-myeloma"
_NOT_ACTIVE_MYELOMA = ("smouldering-myeloma", "mgus")
_OTHER_INDICATIONS = (
    "myelodysplastic-syndrome",
    "mantle-cell-lymphoma",
    "follicular-lymphoma",
    "marginal-zone-lymphoma",
    "small-b-cell-lymphoma",
)
_CLL = "chronic-lymphocytic-leukaemia"


@rule(
    "eligibility.indication",
    "The indication is multiple myeloma; other indications have rules of their own, and chronic lymphocytic leukaemia is "
    "a danger.",
    sources=("F 1", "F 5.5"),
)
def indication(case: Case) -> Report | None:
    """The diagnosis the order is for."""
    snapshot = case.snapshot
    if snapshot.patient is not None and snapshot.patient.deceased:
        return Report(
            Indicator.CRITICAL,
            "The patient is recorded as deceased: check the patient",
            "No order is indicated.",
            (Evidence("deceased", reference=snapshot.patient.reference),),
            Action.HOLD,
            alone=True,
        )
    leukaemia = [condition for condition in snapshot.conditions_of(_CLL) if condition.active is not False]
    if leukaemia:
        return Report(
            Indicator.CRITICAL,
            "Chronic lymphocytic leukaemia recorded: increased mortality with lenalidomide",
            "Lenalidomide is not recommended in chronic lymphocytic leukaemia outside trials.",
            tuple(of_record(condition) for condition in leukaemia),
        )
    if snapshot.conditions_of(_MYELOMA, "relapsed-myeloma", "plasma-cell-leukaemia"):
        return None
    supply = snapshot.supplied("Condition")
    if not supply.proves_absence:
        return Report(
            Indicator.INFO,
            f"Diagnosis not checked: conditions {supply.value}",
            "Confirm that the indication is multiple myeloma.",
            outcome=Outcome.UNKNOWN,
        )
    others = snapshot.conditions_of(*_OTHER_INDICATIONS, *_NOT_ACTIVE_MYELOMA)
    if others:
        names = listed(sorted({condition.name for condition in others}))
        return Report(
            Indicator.WARNING,
            f"Maintenance rules may not apply: {names}, no multiple myeloma recorded",
            "These rules are for maintenance in multiple myeloma.",
            tuple(of_record(condition) for condition in others),
        )
    return Report(
        Indicator.WARNING,
        "No multiple myeloma recorded",
        "Confirm the indication; these rules are for multiple myeloma.",
    )


@rule(
    "eligibility.transplant",
    "Maintenance follows this transplant: {eligibility.transplant}.",
    cites=("eligibility.transplant",),
    sources=("F 6.2",),
    applies=lambda protocol: protocol.eligibility.transplant.value != "any",
)
def transplant(case: Case) -> Report | None:
    """The kind of transplant the protocol is for."""
    wanted = case.protocol.eligibility.transplant.value
    if case.combination:
        return None
    done = {procedure.token: procedure for procedure in case.course.transplants}
    autologous, allogeneic = done.get("autologous-hsct"), done.get("allogeneic-sct")
    if wanted == "autologous" and allogeneic is not None:
        return Report(
            Indicator.WARNING,
            f"Allogeneic transplant ({on(allogeneic.day, case.today)}): {case.protocol.id} is for autologous transplant",
            "Off label after allogeneic transplant; graft-versus-host disease has been reported.",
            (of_record(allogeneic),),
        )
    if wanted == "allogeneic" and allogeneic is None and autologous is not None:
        return Report(
            Indicator.WARNING,
            f"Only an autologous transplant is recorded: {case.protocol.id} is for allogeneic transplant",
            "Consider another protocol.",
            (of_record(autologous),),
        )
    if (allogeneic if wanted == "allogeneic" else autologous) is not None:
        undated = case.course.transplant_date_unknown
        return (
            Report(Indicator.INFO, "Transplant date not found", "Record it: the course counts from it.")
            if undated
            else None
        )
    grave = Indicator.WARNING if case.is_start else Indicator.INFO
    if done:
        return Report(grave, f"Transplant recorded without its kind: confirm that it was {wanted}", "Record the kind.")
    supply = case.snapshot.supplied("Procedure")
    if not supply.proves_absence:
        return Report(
            Indicator.INFO,
            f"Transplant not checked: procedures {supply.value}",
            f"Confirm the {wanted} transplant.",
            outcome=Outcome.UNKNOWN,
        )
    return Report(
        Indicator.WARNING if case.is_start else Indicator.INFO,
        f"No {wanted} transplant recorded",
        f"{case.protocol.id} is for maintenance after it; confirm.",
    )


@rule(
    "eligibility.age",
    "Not {eligibility.child}[; this protocol: not {eligibility.older_than_trial}]; nobody {eligibility.not_represented} was "
    "in the maintenance trials.",
    cites=("eligibility.child", "eligibility.older_than_trial", "eligibility.not_represented"),
)
def age(case: Case) -> Report | None:
    """Age limits."""
    limits, years = case.protocol.eligibility, case.age
    if years is None:
        return Report(Indicator.INFO, "Age not known: no birth date", outcome=Outcome.UNKNOWN)
    evidence = (Evidence("age", str(years), "years"),)
    if limits.child.holds(years):
        return Report(
            Indicator.CRITICAL,
            f"Patient is {years}: lenalidomide is for adults",
            "Check the patient.",
            evidence,
            Action.HOLD,
        )
    if limits.older_than_trial is not None and limits.older_than_trial.holds(years):
        return Report(
            Indicator.WARNING,
            f"Patient is {years}: {case.protocol.id} takes patients up to {limits.older_than_trial.amount}",
            "",
            evidence,
        )
    if limits.not_represented.holds(years):
        return Report(Indicator.INFO, f"Patient is {years}: not represented in the maintenance trials", "", evidence)
    return None


@rule(
    "eligibility.revallo-renal",
    "Excluded with a creatinine clearance {renal.exclusion} or dialysis.",
    cites=("renal.exclusion",),
    applies=lambda protocol: protocol.renal.exclusion is not None,
)
def trial_kidney(case: Case) -> Report | None:
    """The trial's kidney exclusion."""
    limit, kidney = case.protocol.renal.exclusion, case.kidney
    if limit is None:
        return None
    low = kidney.clearance is not None and not kidney.missing and limit.holds(kidney.clearance)
    if kidney.dialysis is None and not low:
        return None
    what = "dialysis" if kidney.dialysis is not None else f"CrCl {kidney.clearance} mL/min"
    return Report(
        Indicator.CRITICAL,
        f"Hold: {what}; {case.protocol.id} excludes this kidney function",
        "Consider another protocol.",
        (of_record(kidney.dialysis),)
        if kidney.dialysis is not None
        else (Evidence("crcl", kidney.clearance, "mL/min"),),
        Action.HOLD,
    )


RULES = (indication, transplant, age, trial_kidney)
