#!/usr/bin/env python3
"""Takes the pictures of docs/sandbox: five states of the sandbox page, each as somebody would reach it.

.venv/bin/python scripts/take_screenshots.py [--chromium /usr/bin/chromium] [--folder docs/sandbox]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from tests.sandbox.screen import Screen  # noqa: E402
from tests.support.fixtures import INVALID  # noqa: E402
from tests.support.sandbox import sandbox_app, serving  # noqa: E402

DESK, PHONE = (1280, 800), (390, 844)


def opened(screen: Screen) -> None:
    """The page as it opens."""


def side_by_side(screen: Screen) -> None:
    """The protocols disagree about the same patient."""
    screen.pick("low-platelets")
    screen.tab("protocols")
    screen.page.evaluate("document.querySelector('.depth').scrollIntoView()")


def accepted(screen: Screen) -> None:
    """A suggestion was taken: the order is in order."""
    screen.pick("renal-decline")
    with screen.judged_again():
        screen.page.click("[data-accept]")
    screen.tab("results")


def faulty(screen: Screen) -> None:
    """A saved request is replayed, and the page says which field is wrong."""
    screen.drop((INVALID / "draft-orders-is-text.json").read_text(encoding="utf-8"), "saved-request.json")
    with screen.judged_again():
        screen.page.click("#cards [data-find]")


def on_a_phone(screen: Screen) -> None:
    """A woman of 34 whose second test is missing."""
    screen.pick("second-test-missing")


STATES: dict[str, tuple[tuple[int, int], Callable[[Screen], None]]] = {
    "opened": (DESK, opened),
    "six-protocols": (DESK, side_by_side),
    "accepted": (DESK, accepted),
    "faulty-request": (DESK, faulty),
    "phone": (PHONE, on_a_phone),
}


def take(browser: Browser, address: str, name: str, folder: Path) -> None:
    (width, height), reach = STATES[name]
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        screen = Screen(context.new_page(), address)
        screen.open()
        reach(screen)
        screen.page.screenshot(path=folder / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "sandbox")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as records,
        serving(sandbox_app(Path(records))) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for name in STATES:
            take(browser, address, name, options.folder)
            print(options.folder / f"{name}.png")


if __name__ == "__main__":
    main()
