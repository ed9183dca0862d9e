"""The standard's JSON: tolerant types for what we receive, JSON without nulls for what we send."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import simplejson
from msgspec import MsgspecError
from msgspec.json import Decoder, Encoder

from hooks.problems import MalformedError

EXTENSION = "org.lenalidomide-maintenance"
ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW = "order-select", "order-sign", "patient-view"
SERVICES = {f"lenalidomide-{hook}": hook for hook in (ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW)}

Json = dict[str, Any]
_MANY_DIGITS = 1000
_strict = Decoder(float_hook=Decimal)
_received = Encoder(decimal_format="number")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class HookRequest:
    """A CDS Hooks request as far as this service uses it. ``selections`` is None where the hook has none."""

    hook: str
    hook_instance: str
    patient_id: str
    draft_orders: Sequence[Any]
    selections: frozenset[str] | None
    prefetch: Mapping[str, Any]
    fhir_server: str | None
    protocol: str | None
    now: str | None


def decode(body: bytes | str) -> Any:
    """JSON with exact decimals. NaN and Infinity, which are not JSON but are sent, become decimals nobody can use."""
    try:
        return _strict.decode(body)
    except (MsgspecError, UnicodeError, InvalidOperation, RecursionError):
        return _decode_tolerantly(body)


def _decode_tolerantly(body: bytes | str) -> Any:
    """What is not quite JSON, slowly; and what is wrong with what is none."""
    try:
        return json.loads(body, parse_float=_decimal, parse_int=_whole, parse_constant=Decimal)
    except RecursionError:
        raise MalformedError("", "the body is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        detail = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedError("", f"the body is not JSON{detail}") from None


def _decimal(digits: str) -> Decimal:
    """An exponent that no decimal can hold is a number nobody can use."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")


def _whole(digits: str) -> int | Decimal:
    """Python refuses to make an int of thousands of digits; as a decimal it is one unusable number among others."""
    return int(digits) if len(digits) < _MANY_DIGITS else Decimal(digits)


def encode(document: Mapping[str, Any]) -> str:
    """JSON text that is valid UTF-8; decimals as the numbers they are, never NaN."""
    text = _dumps(document, ensure_ascii=False)
    # Half a surrogate pair echoed from a request cannot be written in UTF-8, only escaped.
    return _dumps(document, ensure_ascii=True) if _HALF_CHARACTER.search(text) else text


def encode_received(document: Mapping[str, Any]) -> str:
    """One line of text of which ``decode`` makes the same again, whatever was received: also NaN, and half characters."""
    try:
        return _received.encode(document).decode()
    except UnicodeEncodeError:
        # Half a surrogate pair cannot be written in UTF-8, only escaped.
        return _dumps(document, ensure_ascii=True, allow_nan=True)


def encode_for_reading(document: Mapping[str, Any]) -> str:
    """As ``encode_received``, with a line for each member."""
    return _dumps(document, ensure_ascii=False, allow_nan=True, indent=1)


def read_request(raw: object) -> HookRequest:
    """Check what is used, ignore what is not known. Raises MalformedError naming the field and what was expected."""
    request = _object(raw, "body")
    hook = _string(request.get("hook"), "hook")
    context = _object(request.get("context"), "context")
    _string(context.get("userId"), "context.userId")
    drafts: Sequence[Any] = ()
    selections = None
    if hook != PATIENT_VIEW:
        drafts = _entries(context.get("draftOrders"))
    if hook == ORDER_SELECT:
        selections = _selections(context.get("selections"))
    prefetch = request.get("prefetch")
    extension = _object(request.get("extension") or {}, "extension")
    server = request.get("fhirServer")
    return HookRequest(
        hook,
        _string(request.get("hookInstance"), "hookInstance"),
        _string(context.get("patientId"), "context.patientId").removeprefix("Patient/"),
        drafts,
        selections,
        {} if prefetch is None else _object(prefetch, "prefetch"),
        None if server is None else _string(server, "fhirServer"),
        _optional(extension, f"{EXTENSION}.protocol"),
        _optional(extension, f"{EXTENSION}.now"),
    )


def number(value: Decimal | None) -> int | float | None:
    """A decimal as a JSON number of any encoder."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _dumps(
    document: Mapping[str, Any], *, ensure_ascii: bool, allow_nan: bool = False, indent: int | None = None
) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return simplejson.dumps(
        document,
        use_decimal=True,
        ensure_ascii=ensure_ascii,
        separators=separators,
        allow_nan=allow_nan,
        indent=indent,
    )


def _entries(raw: object) -> Sequence[Any]:
    bundle = _object(raw, "context.draftOrders")
    if bundle.get("resourceType") != "Bundle":
        raise MalformedError("context.draftOrders", "expected a Bundle")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise MalformedError("context.draftOrders.entry", "expected a list")
    return entries


def _selections(raw: object) -> frozenset[str] | None:
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise MalformedError("context.selections", "expected a list of strings such as MedicationRequest/123")
    # An empty selection says nothing about which order is meant: all are judged.
    return frozenset(raw) or None


def _object(raw: object, field: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise MalformedError(field, "is missing, expected an object" if raw is None else "expected an object")
    return raw


def _string(raw: object, field: str) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise MalformedError(field, "is missing, expected a string" if raw is None else "expected a non-empty string")
    return raw


def _optional(extension: Mapping[str, Any], name: str) -> str | None:
    value = extension.get(name)
    return None if value is None else _string(value, f"extension.{name}")
