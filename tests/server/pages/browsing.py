"""A real browser for the pages: Chromium, driven by Playwright.

Every page that a test opens is watched: it may load nothing from another host, violate its own
Content-Security-Policy nowhere, and raise no error that nobody caught.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.ops.programs import TOOLS, program

AXE = TOOLS.parent / "axe" / "axe.min.js"
# WCAG 2.2 A and AA, and what axe calls best practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# How long an expectation may take to become true: on a busy machine, not in the usual run.
PATIENCE_MILLISECONDS = 60_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 320, "height": 640}


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium without a window; skip the tests if it is not here."""
    path = program("chromium")
    with sync_playwright() as playwright:
        # In a container Chromium's own sandbox has no rights to start.
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MILLISECONDS
        )
        try:
            yield started
        finally:
            started.close()


@dataclass
class Visit:
    """A tab on a server, and what was wrong with what it showed."""

    base_url: str
    page: Page
    problems: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Page:
        """Open a page and return it."""
        self.page.goto(f"{self.base_url}/{path}")
        return self.page

    def watch(self) -> None:
        """Note what a page must not do."""
        own = urlsplit(self.base_url).netloc
        self.page.on("request", lambda request: self._check_host(request.url, own))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", lambda message: self._check_message(message.text))
        self.page.on("dialog", self._refuse_dialog)

    def _check_host(self, url: str, own: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != own:
            self.problems.append(f"request to {url}")

    def _check_message(self, text: str) -> None:
        if "Content Security Policy" in text or "Trusted" in text:
            self.problems.append(text)

    def _refuse_dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def visit(browser: Browser, base_url: str, **options: Any) -> Iterator[Visit]:
    """Open a tab in a context of its own, and check at the end that nothing was wrong."""
    context: BrowserContext = browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    try:
        made = Visit(base_url, context.new_page())
        made.watch()
        yield made
        assert made.problems == []
    finally:
        context.close()


def find_violations(page: Page) -> list[str]:
    """Return what axe-core finds in the page as it is; skip the test if axe is not here."""
    if not AXE.exists():
        pytest.skip("axe-core is not here (deploy/test-tools.sh)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    options = json.dumps({"runOnly": RULES, "resultTypes": ["violations"]})
    found = page.evaluate(f"axe.run(document, {options})")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
