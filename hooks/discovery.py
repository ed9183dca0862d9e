"""The discovery document: one byte-stable text, the union over all protocols."""

from __future__ import annotations

from cds.terminology import load_terminology
from hooks.prefetch import templates
from hooks.wire import ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW, SERVICES, Json

_TITLES = {
    ORDER_SELECT: "Lenalidomide maintenance: order selection",
    ORDER_SIGN: "Lenalidomide maintenance: order signing",
    PATIENT_VIEW: "Lenalidomide maintenance: chart opening",
}
_DESCRIPTIONS = {
    ORDER_SELECT: "Checks a selected lenalidomide order against blood counts, kidney function and treatment course.",
    ORDER_SIGN: "Checks every lenalidomide order before it is signed, and offers the corrected order.",
    PATIENT_VIEW: "Says which checks are due for a patient under lenalidomide maintenance.",
}


def discovery() -> Json:
    """Services in a fixed order, each with the same prefetch templates."""
    prefetch = templates(load_terminology())
    return {
        "services": [
            {
                "hook": hook,
                "title": _TITLES[hook],
                "description": _DESCRIPTIONS[hook],
                "id": service,
                "prefetch": prefetch,
                "usageRequirements": "All prefetch keys; what is missing is named on the card.",
            }
            for service, hook in SERVICES.items()
        ]
    }
