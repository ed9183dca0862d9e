"""What a record system can do with a card: the standard's full form, or what Epic documents."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid5

from hooks.markdown import escaped
from hooks.wire import Json

BASE, EPIC = "base", "epic"
PROFILES = (BASE, EPIC)


def fitted(card: Json, profile: str) -> Json:
    """The card as the profile has it.

    Epic takes one action a suggestion, lets any number be chosen, and cannot carry a change of a medication order: that
    goes into the text.
    """
    if profile == BASE or "suggestions" not in card:
        return card
    offers = [offer for suggestion in card["suggestions"] for offer in _single_actions(suggestion)]
    to_write = [_in_words(suggestion) for suggestion in card["suggestions"] if _changes_medication(suggestion)]
    lines = "".join(f"\n\n**To be changed in the order:** {escaped(label)}" for label in to_write)
    others = {key: value for key, value in card.items() if key not in {"suggestions", "selectionBehavior"}}
    carried = {"suggestions": offers, "selectionBehavior": "any"} if offers else {}
    return {**others, "detail": card["detail"] + lines, **carried}


def _in_words(suggestion: Json) -> str:
    """The change as a line of text; other drafts that it replaces must go too, or both would be signed."""
    others = any(action["type"] == "delete" for action in suggestion["actions"])
    return f"{suggestion['label']}, and remove the other lenalidomide order" if others else suggestion["label"]


def _single_actions(suggestion: Json) -> Iterator[Json]:
    carried = [action for action in suggestion["actions"] if action["type"] != "update"]
    for index, action in enumerate(carried):
        uuid = suggestion["uuid"] if index == 0 else str(uuid5(UUID(suggestion["uuid"]), str(index)))
        label = "Remove the other lenalidomide order" if _changes_medication(suggestion) else suggestion["label"]
        yield {**suggestion, "label": label, "uuid": uuid, "actions": [action]}


def _changes_medication(suggestion: Json) -> bool:
    return any(action["type"] == "update" for action in suggestion["actions"])
