"""The sandbox page as somebody uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page

Json = dict[str, Any]
_DROP = """([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, { type: "application/json" }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


class Screen:
    """One open page, and what the browser complained of meanwhile."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.called: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.called.append(f"{request.method} {request.url}"))

    def open(self, query: str = "") -> None:
        """Load the page and wait for its first patient."""
        self.page.goto(f"{self.address}/sandbox{query}")
        self.page.wait_for_selector("body[data-ready]")

    @contextmanager
    def judged_again(self) -> Iterator[None]:
        """Wait until what is done within has been answered and drawn."""
        self.page.evaluate("document.body.removeAttribute('data-ready')")
        yield
        self.page.wait_for_selector("body[data-ready]")

    def pick(self, story: str) -> None:
        """Choose a patient; on a phone the list is to be opened first."""
        if not self.page.is_visible(f"[data-story={story}]"):
            self.page.click("#patient-list summary")
        with self.judged_again():
            self.page.click(f"[data-story={story}]")

    def choose(self, field: str, value: str) -> None:
        """Choose from one of the lists."""
        with self.judged_again():
            self.page.select_option(f"#{field}", value)

    def drop(self, text: str, name: str = "dropped.json") -> None:
        """Drop a file on the page."""
        with self.judged_again():
            self.page.evaluate(_DROP, [name, text])

    def tab(self, name: str) -> str:
        """Open a tab; its text."""
        with self.judged_again():
            self.page.click(f"#tab-{name}")
        return self.page.inner_text(f"#page-{name}")

    @property
    def headlines(self) -> list[str]:
        """The summaries of the cards."""
        return self.page.locator("#cards article h3").all_inner_texts()

    @property
    def request(self) -> Json:
        """The request as the page holds it."""
        request: Json = json.loads(self.page.input_value("#request"))
        return request

    @property
    def wrong(self) -> str:
        """What the page says went wrong."""
        return self.page.inner_text("#wrong")

    @property
    def said(self) -> str:
        """What the page says happened."""
        return self.page.inner_text("#said")
