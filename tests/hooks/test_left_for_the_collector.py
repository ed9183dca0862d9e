"""What an answer makes is gone with it: objects that refer to each other in a circle would wait for Python's collector.

That then frees the records of hundreds of patients at once, while everybody waits.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.answering import answered
from hooks.circumstances import NOW, parse_now, told
from hooks.clients import ANY_CLIENT
from hooks.wire import decode, encode
from tests.support.fixtures import REQUESTS


@pytest.fixture
def _alone() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("file", sorted(REQUESTS.glob("*.json")), ids=lambda file: file.stem)
def test_an_answer_leaves_nothing_for_the_collector(file: Path) -> None:
    for _ in range(2):
        # Once for what is made once.
        gc.collect()
        request = decode(file.read_bytes())
        answer = answered(request, now=parse_now(str(told(request, NOW)), ANY_CLIENT.time_zone))
        encode(answer.response)
        answer.explanation()
        del request, answer
    assert gc.collect() == 0
