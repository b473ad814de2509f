"""The operator's page in a real browser: our own metrics, with keys, without a server, and axe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.server.conftest import chat_body
from tests.server.keys.conftest import KeyFile, make_entry
from tests.server.pages.browsing import NARROW, find_violations, visit
from tests.server.pages.conftest import serve_text

READER, OTHER = "sk-reader-0123456789abcdef", "sk-other-0123456789abcdef0"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_text("<think>hmm</think>yes", anonymous_quota={"requests_per_day": 40}) as served:
        for budget in (0, 3, 64):
            chat(served, max_thinking_tokens=budget).raise_for_status()
        assert chat(served, max_thinking_tokens=-7).status_code == 400
        yield served


def chat(base_url: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{base_url}/v1/chat/completions", json=chat_body(**fields), timeout=30)


def find_tile(page: Page, name: str) -> Locator:
    return page.locator(".tile", has_text=name).locator(".tile-value")


def test_it_shows_what_the_metrics_say(browser: Browser, url: str) -> None:
    with visit(browser, url) as made:
        page = made.open("status")
        expect(page.get_by_text("Ready: scripted")).to_be_visible()
        expect(find_tile(page, "Requests running")).to_have_text("0")
        expect(find_tile(page, "Refused requests")).to_have_text("1")
        stops = page.get_by_role("region", name="What ended the thoughts")
        expect(stops.get_by_role("listitem").filter(has_text="no thought")).to_contain_text("1")
        expect(stops.get_by_role("listitem").filter(has_text="finished")).to_contain_text("1")
        granted = page.get_by_role("row", name="granted").get_by_role("cell")
        expect(granted.first).to_have_text("3")
        quota = page.get_by_role("region", name="Quotas by key")
        expect(quota.get_by_role("listitem")).to_contain_text("anonymous: requests per day")
        # A reply that ends while somebody looks appears by itself.
        chat(url, max_thinking_tokens=64).raise_for_status()
        expect(granted.first).to_have_text("4")


def test_only_keys_that_may_read_metrics_see_it(browser: Browser, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.toml")
    reader = make_entry("reader", READER, reads_metrics="true")
    file.write(reader, make_entry("bob", OTHER))
    with serve_text("yes", keys_file=str(file.path)) as url, visit(browser, url) as made:
        page = made.open("status")
        expect(page.get_by_role("alert")).to_contain_text("401")
        for key, shown in ((OTHER, "reads_metrics = true"), (READER, "Ready: scripted")):
            page.get_by_role("button", name="Key set" if key == READER else "Set key").click()
            page.get_by_label("Key", exact=True).fill(key)
            page.keyboard.press("Enter")
            expect(page.locator("main")).to_contain_text(shown)
        expect(page.get_by_role("alert")).to_have_count(0)
        assert READER not in page.content() + page.url


def test_a_server_that_is_gone_is_said_and_the_last_figures_stay(
    browser: Browser, url: str
) -> None:
    with visit(browser, url) as made:
        page = made.open("status")
        expect(page.get_by_text("Ready: scripted")).to_be_visible()
        page.route("**/metrics", lambda route: route.abort("connectionrefused"))
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        expect(page.get_by_text("Ready: scripted")).to_be_visible()
        page.unroute("**/metrics")
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("is_narrow", [False, True], ids=["wide", "narrow"])
def test_axe_finds_nothing(browser: Browser, url: str, scheme: str, *, is_narrow: bool) -> None:
    size: dict[str, Any] = {"viewport": NARROW} if is_narrow else {}
    with visit(browser, url, color_scheme=scheme, **size) as made:
        page = made.open("status")
        expect(page.locator(".tile svg").first).to_be_attached()
        assert find_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
