"""Calls and feedback that go on while something happens to the service, and whether all that was acknowledged is on record."""

from __future__ import annotations

from threading import Event, Thread

from sqlalchemy import select

from hooks.store import DECISION, FEEDBACK
from tests.support.fixtures import Json
from tests.support.hospital import ADVISED, Hospital


class Traffic(Thread):
    """One call after the other, until it is stopped; what was acknowledged, and the statuses of calls that were not answered."""

    def __init__(self, running: Hospital, pause: float = 0.001) -> None:
        super().__init__()
        self._running, self._pause, self._stopping = running, pause, Event()
        self.decisions: list[str] = []
        self.cards: list[str] = []
        self.refused: list[int] = []

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            number += 1
            response = self._running.post(ADVISED)
            if response.status_code != 200:
                self.refused.append(response.status_code)
                continue
            self.decisions.append(response.headers["X-Decision-Id"])
            entry: Json = {"card": f"card-{number}", "outcome": "accepted"}
            if self._running.feedback({"feedback": [entry]}).status_code == 200:
                self.cards.append(entry["card"])

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def assert_nothing_lost(running: Hospital, traffic: Traffic) -> None:
    assert traffic.decisions
    with running.store() as store, store.reading() as connection:
        decisions = set(connection.execute(select(DECISION.c.id)).scalars())
        cards = set(connection.execute(select(FEEDBACK.c.card)).scalars())
    assert set(traffic.decisions) <= decisions
    assert set(traffic.cards) <= cards
    assert "decisions dropped" not in running.state()["counts"]
