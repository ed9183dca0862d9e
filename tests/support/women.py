"""The patient of the shared pregnancy cases, and what the service answers for her."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from hooks import answer
from tests.support.case import Case
from tests.support.case_files import load_cases
from tests.support.request_builder import build_request

Json = dict[str, Any]

_CASES = {(protocol, case.id): case for protocol, case in load_cases()}
TEST_CODE = "2118-8"


def request_of(name: str, protocol: str = "fda-label", *, tests: list[Json] | None = None, **changes: Any) -> Json:
    """The request of a shared case, with these pregnancy tests or other parts in place of its own."""
    case = _CASES[protocol, name].model_dump(exclude_unset=True) | changes
    if tests is not None:
        case["labs"] = case["labs"] | {"hcg": tests}
    return build_request(Case.model_validate(case))


def judged(request: Json, protocol: str = "fda-label", zone: tzinfo = UTC, now: datetime | None = None) -> Json:
    """The explained answer at the time of the shared cases."""
    moment = now or datetime(2024, 9, 4, 9, tzinfo=UTC)
    return answer(request, now=moment.astimezone(zone), protocol=protocol, explain=True)


def pregnancy_card(answered: Json) -> Json:
    """The one card about pregnancy prevention."""
    (card,) = [one for one in answered["cards"] if one["source"]["topic"]["display"].startswith("teratogenicity")]
    found: Json = card
    return found


def offered(card: Json) -> list[Json]:
    """All actions that a card offers, in order."""
    return [action for one in card.get("suggestions", []) for action in one["actions"]]


def asks_for_a_test(answered: Json) -> bool:
    """Whether a card orders a pregnancy test, or makes the order wait for one."""
    ordered = [one.get("resource", {}).get("code", {}) for card in answered["cards"] for one in offered(card)]
    waits = [card["summary"].startswith(("Do not", "Pregnancy test overdue")) for card in answered["cards"]]
    return TEST_CODE in str(ordered) or any(waits)
