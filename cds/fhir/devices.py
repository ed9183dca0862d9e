"""Devices in use: DeviceUseStatement (R4), DeviceUsage (R5), and a Device recorded as the patient's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, tzinfo

from cds.fhir.orders import order_reference
from cds.fhir.primitives import Json, codings, contained, day, day_at_the_latest, mapping, reference_of, text
from cds.snapshot import DeviceFact
from cds.terminology import Terminology

DEVICE_KINDS = {"DeviceUseStatement": "subject", "DeviceUsage": "patient", "Device": "patient"}
"""Resource types, and the element of each that names the patient. ``completed`` means that use has ended."""

_TIMES = ("timingDateTime", "recordedOn", "dateAsserted")


def read_device(resource: Json, devices: Sequence[Json], terminology: Terminology, now: datetime) -> DeviceFact | None:
    """A listed device that is in use; None where it is not listed, not in use or of unknown status."""
    if text(resource.get("resourceType")) == "Device":
        in_use, device = text(resource.get("status")) == "active" and "patient" in resource, resource
    else:
        in_use, device = text(resource.get("status")) == "active", _device_of(resource, devices)
    concept = mapping(resource.get("device")).get("concept") or _type_of(device)
    token = terminology.devices.token(codings(concept, terminology))
    assert now.tzinfo is not None
    since, until = _span(resource, now.tzinfo)
    if not in_use or token is None or (until is not None and until <= now.date()):
        return None
    return DeviceFact(token, reference_of(resource), since)


def _device_of(resource: Json, devices: Sequence[Json]) -> Json:
    """The Device that a statement of use refers to: contained in it, or sent beside it."""
    device = mapping(resource.get("device"))
    reference = device.get("reference")
    target = mapping(reference) if isinstance(reference, dict) else device
    inside = contained(resource, text(target.get("reference")))
    wanted = order_reference(target)
    return inside or next((item for item in devices if reference_of(item) == wanted), {})


def _type_of(device: Json) -> object:
    """``Device.type``: one concept in R4, a list of them in R5."""
    kind = device.get("type")
    return kind[0] if isinstance(kind, list) and kind else kind


def _span(resource: Json, zone: tzinfo) -> tuple[date | None, date | None]:
    """Since when, and until when, where either is told."""
    period = mapping(resource.get("timingPeriod"))
    begun = (period.get("start"), *(resource.get(name) for name in _TIMES))
    days = (day_at_the_latest(raw, zone) for raw in begun)
    return next((found for found in days if found is not None), None), day(period.get("end"), zone)
