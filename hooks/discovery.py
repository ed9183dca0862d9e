"""The discovery document: one byte-stable text, the union over all protocols."""

from __future__ import annotations

from cds.terminology import Terminology
from hooks.prefetch import templates
from hooks.settings import SettingsError
from hooks.wire import ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW, SERVICES, Json

_LONGEST_TEMPLATE = 1500  # characters, encoded: what record systems bear
_SPECIFICATION = "2.0.1"  # the version of the standard that is implemented; the member itself is of 3.0
_TITLES = {
    ORDER_SELECT: "Lenalidomide maintenance: order selection",
    ORDER_SIGN: "Lenalidomide maintenance: order signing",
    PATIENT_VIEW: "Lenalidomide maintenance: chart opening",
}
_DESCRIPTIONS = {
    ORDER_SELECT: "Checks a selected lenalidomide order: counts, kidneys, course, pregnancy, thrombosis, interactions.",
    ORDER_SIGN: "Checks every lenalidomide order before it is signed, and offers the corrected order.",
    PATIENT_VIEW: "Says which checks are due for a patient under lenalidomide maintenance.",
}


def discovery(terminology: Terminology) -> Json:
    """Services in a fixed order, each with the same prefetch templates; ``SettingsError`` when one of these is too long."""
    prefetch = templates(terminology)
    for key, template in prefetch.items():
        if len(template) > _LONGEST_TEMPLATE:
            msg = (
                f"CDS_LOCAL_CODES: too many codes: the query of the prefetch key '{key}' is longer than "
                f"{_LONGEST_TEMPLATE} characters"
            )
            raise SettingsError(msg)
    return {
        "services": [
            {
                "hook": hook,
                "title": _TITLES[hook],
                "description": _DESCRIPTIONS[hook],
                "id": service,
                "prefetch": prefetch,
                "version": _SPECIFICATION,
                "usageRequirements": "All prefetch keys; what is missing is named on the card.",
            }
            for service, hook in SERVICES.items()
        ]
    }
