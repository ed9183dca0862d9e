"""What holds for every test run: which tests share a process, what no log may hold, how many cards ordinary patients get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from hooks import answer
from tests.support.fixtures import REQUESTS, ask, load, service_of
from tests.support.log_watch import LogWatch
from tests.support.renewals import ordinary_renewals
from tests.support.request_builder import build_request

# They look at the answers to all cases, which are dear to make.
_LOOK_AT_ALL_ANSWERS = {"test_card_profile.py", "test_card_texts.py", "test_conformance.py", "test_suggestions.py"}
_REPLICAS = "replicas"  # a folder whose tests share two services and a proxy


_LOG_WATCH = LogWatch()


class _ByFile(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist carries no types
    """The tests of a file share a process, and with it what is dear to make: a browser, a server, all answers."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if Path(file).parent.name == _REPLICAS:
            return _REPLICAS
        return "answers" if Path(file).name in _LOOK_AT_ALL_ANSWERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    """Share out files, not tests."""
    return _ByFile(config, log)


def pytest_runtest_setup() -> None:
    """Listen to what is logged."""
    _LOG_WATCH.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail the test during which a line of the log named a patient."""
    yield
    leaks = _LOG_WATCH.leaks()
    if leaks:
        pytest.fail("the log names a patient: " + "\n".join(leaks[:3]), pytrace=False)


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
