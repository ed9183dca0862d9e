"""The sandbox over HTTP, and in a browser where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.sandbox.screen import Screen
from tests.support.sandbox import sandbox_app, serving


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The service with its sandbox, without a network."""
    app = sandbox_app(tmp_path_factory.mktemp("sandbox"))
    yield app.test_client()
    app.extensions["service"].close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the service with its sandbox listens."""
    with serving(sandbox_app(tmp_path_factory.mktemp("sandbox"))) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("TEST_CHROMIUM")
    if not executable:
        pytest.skip("TEST_CHROMIUM names no Chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One cache of files for all tests."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(15_000)
        yield context


@pytest.fixture
def screen(context: BrowserContext, address: str) -> Iterator[Screen]:
    """A page of 1280 by 800, opened with a patient whose kidneys decline; whatever the browser complains of fails the test."""
    screen = Screen(context.new_page(), address)
    screen.open("?patient=renal-decline")
    yield screen
    screen.page.close()
    assert screen.complaints == []
