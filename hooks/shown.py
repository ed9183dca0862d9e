"""What is shown at which hook: one table, which a client may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cds.evaluation import INVITATIONS
from cds.findings import Indicator
from hooks.wire import ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW

# What is to be known before treatment begins, and is due in the chart of a treated patient.
CHECKS = frozenset({"monitoring.lft-due", "monitoring.tsh", "monitoring.hbv-screen"})
OF_A_START = CHECKS | {"teratogenicity.male-counselling"}


@dataclass(frozen=True)
class Shown:
    """What one hook shows: the least indicator that makes a card, and the informations that make one nevertheless."""

    least: Indicator
    also: frozenset[str]
    hides_orders_without_dose: bool = False


SHOWN_AT: Mapping[str, Shown] = {
    ORDER_SELECT: Shown(Indicator.WARNING, INVITATIONS, hides_orders_without_dose=True),
    ORDER_SIGN: Shown(Indicator.WARNING, INVITATIONS | OF_A_START),
    PATIENT_VIEW: Shown(Indicator.WARNING, CHECKS | {"monitoring.creatinine-due"}),
}
