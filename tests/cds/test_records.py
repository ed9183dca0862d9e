"""The record: conditions and procedures; which entries are facts."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cds.snapshot import ConditionFact, Fault, ProcedureFact
from tests.support import codes
from tests.support.fhir import (
    HL7,
    NOW,
    SNOMED,
    SUBJECT,
    changed,
    coded,
    fired,
    reasons,
    request,
    snapshot,
    with_resources,
    without,
)

_OTHER = {"reference": "Patient/patient-2"}


def _clinical(code: str) -> dict[str, Any]:
    return coded(f"{HL7}/condition-clinical", code)


def _verified(code: str, kind: str = "condition-ver-status") -> dict[str, Any]:
    return coded(f"{HL7}/{kind}", code)


def _condition(name: str = "multiple-myeloma", **changes: Any) -> dict[str, Any]:
    base = {"resourceType": "Condition", "id": "c-1", "code": codes.condition(name), "subject": SUBJECT}
    return changed(base, changes)


def _procedure(name: str = "autologous-hsct", **changes: Any) -> dict[str, Any]:
    base = {"resourceType": "Procedure", "id": "p-1", "status": "completed", "code": codes.procedure(name)}
    return changed({**base, "subject": SUBJECT, "performedDateTime": "2024-01-20"}, changes)


def _conditions(*resources: dict[str, Any]) -> tuple[ConditionFact, ...]:
    return snapshot(*resources).conditions


def _procedures(*resources: dict[str, Any]) -> tuple[ProcedureFact, ...]:
    return snapshot(*resources).procedures


# --- Condition -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["confirmed", "provisional", "differential", "unconfirmed"])
def test_a_condition_that_is_not_refuted_is_a_fact(code: str) -> None:
    assert [fact.token for fact in _conditions(_condition(verificationStatus=_verified(code)))] == ["multiple-myeloma"]


def test_a_condition_without_verification_status_is_a_fact() -> None:
    assert len(_conditions(_condition())) == 1


@pytest.mark.parametrize("code", ["refuted", "entered-in-error"])
def test_a_refuted_condition_is_no_fact(code: str) -> None:
    assert _conditions(_condition(verificationStatus=_verified(code))) == ()


def test_a_refuted_myeloma_is_no_indication() -> None:
    refuted = with_resources(request(conditions=[]), _condition(verificationStatus=_verified("refuted")))

    assert "eligibility.indication" in fired(refuted)
    assert "eligibility.indication" not in fired(request())


@pytest.mark.parametrize(
    ("code", "active"),
    [
        ("active", True),
        ("recurrence", True),
        ("relapse", True),
        ("inactive", False),
        ("remission", False),
        ("resolved", False),
        ("foo", None),
    ],
)
def test_the_clinical_status_tells_whether_a_condition_is_active(code: str, active: bool | None) -> None:  # noqa: FBT001
    (fact,) = _conditions(_condition(clinicalStatus=_clinical(code)))

    assert fact.active is active


def test_a_missing_clinical_status_is_unknown() -> None:
    (fact,) = _conditions(_condition())

    assert fact.active is None


@pytest.mark.parametrize("code", ["active", "remission", "resolved", "inactive"])
def test_myeloma_in_remission_is_the_indication_all_the_same(code: str) -> None:
    hook_request = with_resources(request(conditions=[]), _condition(clinicalStatus=_clinical(code)))

    assert "eligibility.indication" not in fired(hook_request)


@pytest.mark.parametrize("code", ["C90.00", "C9000", "c90.00", "C90.01", " C90.00 "])
@pytest.mark.parametrize("system", ["http://hl7.org/fhir/sid/icd-10-cm", "urn:oid:2.16.840.1.113883.6.90"])
def test_an_icd_code_is_recognised_in_every_spelling(system: str, code: str) -> None:
    assert [fact.token for fact in _conditions(_condition(code=coded(system, code)))] == ["multiple-myeloma"]


def test_the_dates_of_a_condition_are_read() -> None:
    (by_time,) = _conditions(
        _condition(onsetDateTime="2023-06-01", abatementDateTime="2023-12-01", recordedDate="2023-06-02")
    )
    (by_period,) = _conditions(_condition(onsetPeriod={"start": "2023-06"}, abatementPeriod={"end": "2023-12-01"}))

    assert (by_time.onset, by_time.abated, by_time.recorded) == (date(2023, 6, 1), date(2023, 12, 1), date(2023, 6, 2))
    assert (by_period.onset, by_period.abated) == (date(2023, 6, 1), date(2023, 12, 1))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Multiple myeloma", "multiple myeloma"),
        ("IgG kappa myeloma in remission", "multiple myeloma"),
        ("dialysis", "dialysis"),
    ],
)
@pytest.mark.parametrize("concept", ["text", "local"])
def test_a_condition_known_by_its_words_only_is_named_and_not_used(concept: str, words: str, name: str) -> None:
    code = (
        {"text": words}
        if concept == "text"
        else {"coding": [{"system": "urn:oid:1.2.3", "code": "1", "display": words}]}
    )

    read = snapshot(_condition(code=code))

    assert read.conditions == ()
    assert name in read.unread[0].why


def test_a_condition_coded_as_something_else_is_not_named() -> None:
    unrelated = coded(SNOMED, "38341003", display="Hypertension") | {"text": "Hypertension; no myeloma"}

    assert reasons(_condition(code=unrelated)) == {}


def test_another_patients_condition_is_refused_and_reported() -> None:
    read = snapshot(_condition(subject=_OTHER))

    assert read.conditions == ()
    assert [(item.reference, item.fault) for item in read.unread] == [("Condition/c-1", Fault.FOREIGN)]


def test_a_condition_with_an_unknown_modifier_extension_is_unread() -> None:
    read = snapshot(_condition(modifierExtension=[{"url": "http://example.org/not", "valueBoolean": True}]))

    assert read.conditions == ()
    assert [item.reference for item in read.unread] == ["Condition/c-1"]


# --- Procedure and ServiceRequest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "in-progress"])
def test_a_procedure_that_was_done_or_is_running_is_a_fact(status: str) -> None:
    assert [fact.token for fact in _procedures(_procedure(status=status))] == ["autologous-hsct"]


@pytest.mark.parametrize("status", ["preparation", "not-done", "on-hold", "stopped", "entered-in-error", "", None])
def test_a_procedure_that_was_not_done_is_no_fact(status: str | None) -> None:
    assert _procedures(_procedure(status=status)) == ()


@pytest.mark.parametrize(
    "performed",
    [
        {"performedDateTime": "2024-01-20"},
        {"performedDateTime": "2024-01-20T12:00:00Z"},
        {"performedPeriod": {"start": "2024-01-19", "end": "2024-01-20"}},
        {"performedPeriod": {"start": "2024-01-20"}},
        {"occurrenceDateTime": "2024-01-20"},
        {"occurrencePeriod": {"start": "2024-01-19", "end": "2024-01-20"}},
    ],
    ids=str,
)
def test_the_day_of_a_procedure_is_read_in_r4_and_r5(performed: dict[str, Any]) -> None:
    (fact,) = _procedures(_procedure(**{"performedDateTime": None, **performed}))

    assert fact.day == date(2024, 1, 20)


def test_a_procedure_without_a_day_is_a_fact_without_a_day() -> None:
    (fact,) = _procedures(_procedure(performedDateTime=None))

    assert fact.day is None


def test_a_procedure_known_by_its_words_only_is_named_and_not_used() -> None:
    read = snapshot(_procedure(code={"text": "Autologous stem cell transplant"}))

    assert read.procedures == ()
    assert "autologous" in read.unread[0].why


def test_another_patients_procedure_is_refused_and_reported() -> None:
    read = snapshot(_procedure(subject=_OTHER))

    assert read.procedures == ()
    assert [(item.reference, item.fault) for item in read.unread] == [("Procedure/p-1", Fault.FOREIGN)]


def _dialysis_order(**changes: Any) -> dict[str, Any]:
    base = {"resourceType": "ServiceRequest", "id": "s-1", "status": "active", "intent": "order"}
    return changed({**base, "code": codes.procedure("dialysis"), "subject": SUBJECT}, changes)


def test_an_active_order_for_dialysis_means_dialysis() -> None:
    (fact,) = _procedures(_dialysis_order())

    assert (fact.token, fact.status) == ("dialysis", "in-progress")
    assert "renal.cap" in fired(with_resources(request(), _dialysis_order()))


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"status": status}
            for status in ("draft", "on-hold", "revoked", "completed", "entered-in-error", "unknown", None)
        ),
        {"doNotPerform": True},
        {"intent": "proposal"},
        {"intent": "option"},
        {"subject": _OTHER},
    ],
    ids=str,
)
def test_any_other_order_for_dialysis_means_none(changes: dict[str, Any]) -> None:
    assert _procedures(_dialysis_order(**changes)) == ()


def test_an_order_for_a_transplant_is_no_transplant() -> None:
    planned = {**_dialysis_order(), "code": codes.procedure("autologous-hsct"), "occurrenceDateTime": "2024-04-01"}
    hook_request = with_resources(request(procedures=[]), planned)

    assert "eligibility.transplant" in fired(hook_request)


def test_everything_of_the_record_is_used_together() -> None:
    hook_request = without(request(), "procedures", "autologous-hsct-1")

    assert "eligibility.transplant" in fired(hook_request, NOW)
    assert "eligibility.transplant" not in fired(with_resources(hook_request, _procedure()), NOW)
