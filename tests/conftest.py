"""What every test run reports beside the tests: how many cards the bundled requests and the ordinary renewals get."""

from __future__ import annotations

from collections import Counter

import pytest

from hooks import answer
from tests.support.fixtures import REQUESTS, ask, load, service_of
from tests.support.renewals import ordinary_renewals
from tests.support.request_builder import build_request


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count the cards; once, not in each of several processes."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    renewals = Counter(
        len(answer(build_request(case), now=case.now, protocol=protocol)["cards"])
        for protocol, case in ordinary_renewals()
    )
    bundled = Counter(
        len(ask(file.read_bytes(), service_of(load(file)["hook"]))["cards"]) for file in sorted(REQUESTS.glob("*.json"))
    )
    terminalreporter.write_sep("-", "cards per request")
    for name, counted in (("ordinary renewals", renewals), ("bundled requests", bundled)):
        told = ", ".join(f"{requests} with {cards}" for cards, requests in sorted(counted.items()))
        terminalreporter.write_line(f"{name}: {told}")
