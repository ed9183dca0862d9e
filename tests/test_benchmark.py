"""What the benchmark rests on: requests that are what they are said to be, and a guard that notices."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from bench import guard
from bench.hook_requests import SIZES, TYPICAL, Size, bodies, encoded, of_its_own, order_sign, resources
from hooks import answer
from hooks.wire import decode

_TODAY = date(2026, 11, 21)
_NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def _answered(body: bytes) -> Any:
    return answer(decode(body), now=_NOW, explain=True)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_the_renewal_in_order_gets_silence_and_the_other_cards(size: Size) -> None:
    in_order, with_cards = (_answered(body) for body in bodies(size, _TODAY))

    assert in_order["cards"] == []
    assert with_cards["cards"] != []


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_all_of_a_generated_request_can_be_read(size: Size) -> None:
    for body in bodies(size, _TODAY):
        (explained,) = _answered(body)["extension"].values()

        assert explained["unread"] == []


def test_a_generated_request_is_the_same_for_the_same_day_and_seed() -> None:
    one, again, other = (encoded(order_sign(TYPICAL, _TODAY, in_order=True, seed=seed)) for seed in (1, 1, 2))

    assert one == again
    assert one != other


def test_the_typical_request_has_sixty_resources() -> None:
    assert len(resources(order_sign(TYPICAL, _TODAY, in_order=True))) == 60


def test_each_call_is_of_a_hook_instance_of_its_own() -> None:
    body, _ = bodies(TYPICAL, _TODAY)

    assert len({json.loads(of_its_own(body))["hookInstance"] for _ in range(3)}) == 3


@pytest.fixture
def ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """What the guard will measure, one after the other, where 0.4 is committed."""
    measured: list[float] = []
    committed = tmp_path / "guard.json"
    committed.write_text('{"ratio": 0.4}')
    monkeypatch.setattr(guard, "_COMMITTED", committed)
    monkeypatch.setattr(guard, "_applications", lambda: nullcontext((None, None)))
    monkeypatch.setattr(guard, "_ratio", lambda *_: measured.pop(0))
    return measured


def test_the_guard_fails_when_answers_twice_turn_out_dearer(ratios: list[float]) -> None:
    ratios += [0.29, 0.29]

    assert guard.main([]) == 1


def test_the_guard_looks_again_before_it_fails(ratios: list[float]) -> None:
    ratios += [0.29, 0.31]

    assert guard.main([]) == 0


def test_the_guard_measures_both_for_real() -> None:
    with guard._applications() as (product, empty):
        assert min(product(2), empty(2)) > 0
