"""Observations to results; what looks like one of ours and cannot be used is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from cds.fhir.identity import PatientIdentity
from cds.fhir.primitives import (
    Json,
    UnreadableError,
    codings,
    day_at_the_latest,
    items,
    mapping,
    moment,
    reference_of,
    shown,
    text,
    words_of,
)
from cds.fhir.quantities import read_value
from cds.snapshot import Fault, Measurement, Moment, Result, Unread
from cds.terminology import Coding, ObservationKind, Terminology

_FINAL = {"final", "amended", "corrected"}
_PRELIMINARY = "preliminary"
# Said to be no result; any other status is one that could not be understood, and may hide a result.
_NO_RESULT = {"registered", "cancelled", "entered-in-error", "unknown"}
_WHOLE = Decimal(100)
_NO_INSTANT = datetime.min.replace(tzinfo=UTC)
# A date is no result: "date of last test".
_TIMES = {"valueDateTime", "valueDate", "valueTime", "valuePeriod"}


@dataclass
class ObservationsRead:
    """Results by token, oldest first, and what could not be used."""

    results: dict[str, tuple[Result, ...]] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)


def read_observations(
    resources: Iterable[Json], patient: PatientIdentity, terminology: Terminology, now: datetime
) -> ObservationsRead:
    """All Observations of the patient that measure something the rules know."""
    read = ObservationsRead()
    by_token: dict[str, list[tuple[Result, str]]] = defaultdict(list)
    for resource in resources:
        measuring, unmeasured = _measuring(resource, terminology, now)
        if unmeasured:
            foreign = patient.is_another(resource.get("subject"))
            read.unread += [_of_another(resource)] if foreign else unmeasured
        for element, kind in measuring:
            try:
                result = _result(resource, element, kind, patient, terminology, now)
            except UnreadableError as error:
                read.unread.append(_unread(resource, error, kind.token, now))
                continue
            if result.future:
                why = f"{kind.name} is dated {result.day}, after now; it counts only against the patient"
                read.unread.append(Unread(result.reference, why, Fault.FUTURE, kind.token, result.day))
            if kind.ranged and _lacks_range(element, result):
                read.unread.append(Unread(result.reference, f"the range of normal of its {kind.name} cannot be read"))
            by_token[kind.token].append((result, _specimen(resource)))
    measured = {result.effective for result, _ in by_token["anc"]}
    for result in _derived_neutrophils(by_token):
        if result.effective in measured:
            continue
        if terminology.kind("anc").is_plausible(result.value):
            by_token["anc"].append((result, ""))
        else:
            why = f"neutrophils {result.note} {result.value} are implausible"
            read.unread.append(Unread(result.reference, why, Fault.IMPLAUSIBLE, "anc", result.day))
    read.results = {
        token: tuple(sorted([result for result, _ in found], key=_by_time))
        for token, found in by_token.items()
        if found
    }
    return read


def _measuring(
    resource: Json, terminology: Terminology, now: datetime
) -> tuple[list[tuple[Json, ObservationKind]], list[Unread]]:
    """The Observation itself and its components, as far as their codes are known; and what looks like one of ours."""
    measuring: list[tuple[Json, ObservationKind]] = []
    unread: list[Unread] = []
    elements = [resource]
    if "component" in resource:
        components = items(resource["component"])
        elements += components
        if not isinstance(resource["component"], list) or len(components) < len(resource["component"]):
            unread.append(Unread(reference_of(resource), "a component cannot be read"))
    for element in elements:
        found = codings(element.get("code"), terminology)
        kind = terminology.observation(found)
        if kind is None:
            if not terminology.is_another_test(found):
                unread += _unmeasured(resource, element, found, terminology, now)
        elif kind.token not in terminology.panels:
            measuring.append((element, kind))
    return measuring, unread


def _unmeasured(
    resource: Json, element: Json, found: list[Coding], terminology: Terminology, now: datetime
) -> list[Unread]:
    """What has no known code and yet looks like a kind that the rules know."""
    words = words_of(element.get("code"))
    if not found and not words:
        return [Unread(reference_of(resource), "code says nothing that can be read")]
    hint = terminology.observation_hinted_by(found, words)
    if hint is None or not _may_say(element, hint, terminology, now):
        return []
    why = f"looks like {hint.name} ({shown(words or found[0].code)}) but its code is not known"
    return [_unread(resource, UnreadableError(why, Fault.CODE), hint.token, now)]


def _specimen(resource: Json) -> str:
    return text(mapping(resource["specimen"]).get("reference")) if "specimen" in resource else ""


def _of_another(resource: Json) -> Unread:
    return Unread(reference_of(resource), "subject is another patient", Fault.FOREIGN)


def _lacks_range(element: Json, result: Result) -> bool:
    """Whether a range of normal was printed with a result, and none could be read."""
    return bool(element.get("referenceRange")) and result.lower_limit is None and result.upper_limit is None


def _may_say(element: Json, hint: ObservationKind, terminology: Terminology, now: datetime) -> bool:
    """Whether what looks like a kind by its name holds a value of it; a question that is denied says nothing more."""
    values = [key for key in element if key.startswith("value") or key == "interpretation"]
    if not hint.asked:
        return any(hint.dated or key not in _TIMES for key in values)
    assert now.tzinfo is not None
    try:
        denied = read_value(element, hint, terminology, now.tzinfo).denies
    except UnreadableError:
        denied = False
    return bool(values) and not denied


def _result(
    resource: Json,
    element: Json,
    kind: ObservationKind,
    patient: PatientIdentity,
    terminology: Terminology,
    now: datetime,
) -> Result:
    patient.check(resource.get("subject"), "subject")
    if resource.get("modifierExtension") or element.get("modifierExtension"):
        raise UnreadableError(f"{kind.name} has a modifierExtension that is not known")
    status = text(resource.get("status"))
    if status not in _FINAL and status != _PRELIMINARY:
        fault = Fault.STATUS if status in _NO_RESULT else Fault.OTHER
        raise UnreadableError(f"{kind.name} has status {shown(status or None)}", fault)
    effective = _effective(resource, now)
    assert now.tzinfo is not None
    value = read_value(element, kind, terminology, now.tzinfo)
    return Result(
        kind.token,
        value.measurement,
        value.answer,
        value.unit,
        effective,
        reference_of(resource),
        preliminary=status == _PRELIMINARY,
        future=effective.instant > now if effective.instant is not None else effective.day > now.date(),
        lower_limit=value.lower_limit,
        upper_limit=value.upper_limit,
        told=value.told,
    )


def _effective(resource: Json, now: datetime) -> Moment:
    """When it was measured: the time point, else the end of the period, else when it was issued."""
    zone = now.tzinfo
    assert zone is not None
    if "effectiveDateTime" in resource:
        return moment(resource["effectiveDateTime"], "effectiveDateTime", zone)
    if "effectiveInstant" in resource:
        return moment(resource["effectiveInstant"], "effectiveInstant", zone)
    period = mapping(resource.get("effectivePeriod"))
    if "end" in period:
        return moment(period["end"], "effectivePeriod.end", zone)
    events = mapping(resource.get("effectiveTiming")).get("event")
    if isinstance(events, list) and events:
        moments = [moment(event, "effectiveTiming.event", zone) for event in events]
        return max(moments, key=lambda found: (found.day, found.instant or _NO_INSTANT))
    if "issued" in resource:
        return moment(resource["issued"], "issued", zone)
    if "start" in period:
        return moment(period["start"], "effectivePeriod.start", zone)
    raise UnreadableError("it is not dated")


def _unread(resource: Json, error: UnreadableError, token: str, now: datetime) -> Unread:
    zone = now.tzinfo
    assert zone is not None
    try:
        effective = _effective(resource, now)
    except UnreadableError:
        return Unread(
            reference_of(resource),
            error.why,
            error.fault,
            token,
            day_at_the_latest(resource.get("effectiveDateTime"), zone),
        )
    return Unread(reference_of(resource), error.why, error.fault, token, effective.day, effective.instant)


def _by_time(result: Result) -> tuple[object, ...]:
    return (result.effective.day, result.effective.instant or _NO_INSTANT, result.reference)


def _derived_neutrophils(found: dict[str, list[tuple[Result, str]]]) -> Iterator[Result]:
    """Neutrophils where a laboratory reports only parts: counts of forms, or percentages of the leukocytes.

    Segmented forms without bands are a lower bound of the count, so they come with the comparator ``>=``.
    """
    for segmented, specimen in found.get("neutrophils-segmented", []):
        band = _same_specimen(found.get("neutrophils-band", []), segmented, specimen)
        yield from _sum_of(segmented, band)
    for percent, specimen in found.get("neutrophils-percent", []):
        yield from _of_leukocytes(found, replace(percent, token="anc"), specimen)
    for percent, specimen in found.get("neutrophils-segmented-percent", []):
        band = _same_specimen(found.get("neutrophils-band-percent", []), percent, specimen)
        for share in _sum_of(percent, band):
            yield from _of_leukocytes(found, share, specimen)


def _of_leukocytes(found: dict[str, list[tuple[Result, str]]], share: Result, specimen: str) -> Iterator[Result]:
    leukocytes = _same_specimen(found.get("wbc-corrected", []), share, specimen) or _same_specimen(
        found.get("wbc", []), share, specimen
    )
    if leukocytes is None or share.measurement is None or share.value > _WHOLE:
        return
    yield replace(
        share,
        measurement=Measurement(leukocytes.value * share.value / _WHOLE, share.measurement.comparator),
        unit=leukocytes.unit,
        preliminary=share.preliminary or leukocytes.preliminary,
        note="derived from leukocytes",
    )


def _sum_of(segmented: Result, band: Result | None) -> Iterator[Result]:
    """Segmented and band forms together; without bands, or above a bound, at least the segmented ones."""
    measurement = segmented.measurement
    if measurement is None or (band is None and measurement.comparator in {"<", "<="}):
        return
    total = measurement.value if band is None else measurement.value + band.value
    yield replace(
        segmented,
        token="anc",
        measurement=Measurement(total, ">=" if band is None else measurement.comparator),
        preliminary=segmented.preliminary or (band is not None and band.preliminary),
        upper_limit=None,
        note="segmented forms only" if band is None else "sum of segmented and band forms",
    )


def _same_specimen(candidates: list[tuple[Result, str]], result: Result, specimen: str) -> Result | None:
    """A result of the same specimen, or of the same time."""
    for candidate, its_specimen in candidates:
        same = specimen == its_specimen if specimen and its_specimen else candidate.effective == result.effective
        if same and candidate.measurement is not None and candidate.measurement.comparator is None:
            return candidate
    return None
