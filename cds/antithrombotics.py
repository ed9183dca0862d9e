"""Drugs against thrombosis that the patient takes, and whether their dose prevents or treats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from cds.parameters import Threshold
from cds.protocol import Protocol
from cds.snapshot import MedicationOrder

ASPIRIN = "aspirin"
_ANTIPLATELET = "antiplatelet"
_ANTICOAGULANTS = ("anticoagulant-vka", "anticoagulant-doac", "anticoagulant-lmwh", "anticoagulant-other")


class Intensity(Enum):
    """What a dose is for. One that is not known counts as prophylactic and is called unknown."""

    PROPHYLACTIC = "prophylactic"
    THERAPEUTIC = "therapeutic"
    UNKNOWN = "dose not known"


@dataclass(frozen=True)
class Antithrombotic:
    """One drug against thrombosis with what its dose is for."""

    order: MedicationOrder
    intensity: Intensity


@dataclass(frozen=True)
class Antithrombotics:
    """What is taken against thrombosis: ``protecting`` guards veins, ``other_antiplatelets`` only arteries."""

    protecting: tuple[Antithrombotic, ...]
    other_antiplatelets: tuple[MedicationOrder, ...]

    @property
    def therapeutic(self) -> tuple[MedicationOrder, ...]:
        """Anticoagulants at a dose that treats a thrombosis."""
        return tuple(drug.order for drug in self.protecting if drug.intensity is Intensity.THERAPEUTIC)

    @property
    def dose_unknown(self) -> tuple[MedicationOrder, ...]:
        """Anticoagulants whose dose is not told."""
        return tuple(drug.order for drug in self.protecting if drug.intensity is Intensity.UNKNOWN)

    @property
    def aspirin(self) -> tuple[MedicationOrder, ...]:
        """Orders of aspirin."""
        return tuple(drug.order for drug in self.protecting if drug.order.drug.token == ASPIRIN)

    @property
    def orders(self) -> tuple[MedicationOrder, ...]:
        """All of them."""
        return (*(drug.order for drug in self.protecting), *self.other_antiplatelets)


def read_antithrombotics(taken: Callable[[str], tuple[MedicationOrder, ...]], protocol: Protocol) -> Antithrombotics:
    """Antithrombotics among the drugs of a class that are ``taken`` now or drafted; a single dose protects from nothing."""
    antiplatelets = [order for order in taken(_ANTIPLATELET) if not order.single_dose]
    aspirin = [order for order in antiplatelets if order.drug.token == ASPIRIN]
    anticoagulants = [order for drug_class in _ANTICOAGULANTS for order in taken(drug_class) if not order.single_dose]
    return Antithrombotics(
        (
            *(Antithrombotic(order, _intensity(order, protocol)) for order in anticoagulants),
            *(Antithrombotic(order, Intensity.PROPHYLACTIC) for order in aspirin),
        ),
        tuple(order for order in antiplatelets if order not in aspirin),
    )


def _intensity(order: MedicationOrder, protocol: Protocol) -> Intensity:
    if {order.drug.token, order.drug.drug_class} & set(protocol.vte.treats_at_any_dose.value):
        return Intensity.THERAPEUTIC
    prevents = _limits(protocol).get(order.drug.token)
    if order.amount_per_day is None:
        by_weight, limit = order.dose_per_kilogram, protocol.vte.enoxaparin_treats_by_weight
        treated = order.drug.token == "enoxaparin" and by_weight is not None and limit.holds(by_weight)
        return Intensity.THERAPEUTIC if treated else Intensity.UNKNOWN
    if prevents is None:
        # Of some drugs only a large dose tells what it is for.
        treats = order.drug.token == "dabigatran" and protocol.vte.dabigatran_treats.holds(order.amount_per_day)
        return Intensity.THERAPEUTIC if treats else Intensity.UNKNOWN
    return Intensity.PROPHYLACTIC if prevents.holds(order.amount_per_day) else Intensity.THERAPEUTIC


def _limits(protocol: Protocol) -> dict[str, Threshold]:
    """Up to which daily dose a drug prevents."""
    vte = protocol.vte
    return {
        "enoxaparin": vte.enoxaparin_prevents,
        "apixaban": vte.apixaban_prevents,
        "rivaroxaban": vte.rivaroxaban_prevents,
        "fondaparinux": vte.fondaparinux_prevents,
        "dalteparin": vte.dalteparin_prevents,
        "tinzaparin": vte.tinzaparin_prevents,
    }
