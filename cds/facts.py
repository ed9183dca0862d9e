"""What a fact is: a dataclass that is never changed.

Type checking holds that. Holding it while the service runs would make a fact eight times as slow to make, and a request has
hundreds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["fact"]

if TYPE_CHECKING:
    from dataclasses import dataclass as fact
else:
    from dataclasses import dataclass

    def fact(*, frozen: bool, slots: bool) -> Any:
        """As ``dataclass``: compared and hashed by its fields."""
        return dataclass(slots=slots, unsafe_hash=frozen)
