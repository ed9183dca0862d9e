"""What of a patient's data was not had, and so not checked, in a prescriber's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.evaluation import Evaluation, Judgement
from cds.snapshot import REQUIRED_KINDS, PatientSnapshot, Supply, Unread
from hooks.prefetch import KEY_NAMES, Shortfall

Shortfalls = Mapping[str, Sequence[Shortfall]]

_LONG_LIST = 5
_KIND_NAMES = {
    "Patient": "Demographics",
    "Observation": "Laboratory results and vital signs",
    "MedicationRequest": "Medication orders",
    "Condition": "Diagnoses",
    "Procedure": "Procedures",
    "AllergyIntolerance": "Allergies",
    "Medication": "Medications that orders refer to",
}


def unchecked(judgement: Judgement, evaluation: Evaluation, shortfalls: Shortfalls) -> list[str]:
    """What was not supplied, and what could not be read."""
    snapshot = judgement.case.snapshot
    lines = [
        line
        for kind in _KIND_NAMES
        if kind in REQUIRED_KINDS or kind in shortfalls
        for line in _line(kind, snapshot.supplied(kind), shortfalls)
    ]
    unread = [f"{item.reference}: {item.why}" for item in evaluation.unread if _matters(item, snapshot)]
    if len(unread) > _LONG_LIST:
        unread = [*unread[:_LONG_LIST], f"and {len(unread) - _LONG_LIST} more that could not be used"]
    return lines + unread


def failed_kinds(judgement: Judgement, shortfalls: Shortfalls) -> list[str]:
    """The kinds of data of which something failed, not only was not asked for, each with the reason."""
    snapshot = judgement.case.snapshot
    failed = {kind: [one for one in shortfalls.get(kind, ()) if one.failed] for kind in _KIND_NAMES}
    # In our order and not in the request's: the same failures are the same advice at every hook.
    return [
        f"{_KIND_NAMES[kind].lower()}{_why(snapshot.supplied(kind), listed)}"
        for kind, listed in failed.items()
        if listed
    ]


def _line(kind: str, supply: Supply, shortfalls: Shortfalls) -> list[str]:
    if supply.proves_absence:
        return []
    return [f"{_KIND_NAMES[kind]}: {supply.value}{_why(supply, shortfalls.get(kind, ()))}"]


def _why(supply: Supply, shortfalls: Sequence[Shortfall]) -> str:
    """Why a kind of data fell short: ``(blood counts, kidney function: no answer in time; serology: access refused)``."""
    named: dict[str, list[str]] = {}
    for one in shortfalls:
        is_plain_failure = supply is Supply.PARTIAL and one.state is Supply.FAILED and one.key in KEY_NAMES
        why = one.why or (one.state.value if is_plain_failure else "")
        if why:
            named.setdefault(why, []).append(KEY_NAMES.get(one.key, ""))
    if len(named) == 1 and (supply is Supply.FAILED or all(len(names) == len(KEY_NAMES) for names in named.values())):
        return f" ({next(iter(named))})"
    parts = [f"{', '.join(names)}: {why}" if all(names) else why for why, names in named.items()]
    return f" ({'; '.join(parts)})" if parts else ""


def _matters(unread: Unread, snapshot: PatientSnapshot) -> bool:
    """Whether something could have been different had it been read: not when a later result of its kind was."""
    later = [result for result in snapshot.of(unread.token or "") if not result.only_against]
    return unread.day is None or not any(result.day > unread.day for result in later)
