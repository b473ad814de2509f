"""The pages in a real browser against the real engine: a chat, a budget, a thought that is ended.

With ``UPDATE_PICTURES=1`` the screenshots of the docs are written; else they go to a temporary
folder.
"""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.shared import ThinkerServer
from tests.house.sources import ROOT
from tests.server.pages.browsing import NARROW, find_violations, running_browser, visit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUESTION = "38-3+8+6-9-6+4+5*9 mod 100 ="
LONG = 600  # tokens: two seconds or more
ONCE_IT_THINKS = """(words) => {
  const find = (text) =>
    [...document.querySelectorAll("button")].find((one) => one.textContent.includes(text));
  const observer = new MutationObserver(() => {
    if (!find("Answer now")) return;
    observer.disconnect();
    if (words) find(words).click();
    else location.assign("about:blank");
  });
  observer.observe(document.body, { childList: true, subtree: true });
}"""
CANCELLED = 'thinking_stops_total{cause="cancelled"}'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, thinker_server: ThinkerServer) -> Iterator[Page]:
    with visit(browser, thinker_server.base_url) as made:
        yield made.open()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return ROOT / "docs" / "pictures" if os.environ.get("UPDATE_PICTURES") else tmp_path


def set_budget(page: Page, tokens: int) -> None:
    page.get_by_label("Thinking budget, number of tokens").fill(str(tokens))
    page.keyboard.press("Tab")


def think_long(page: Page) -> None:
    """Ask for a thought that only its budget or an order ends."""
    set_budget(page, LONG)
    page.get_by_text("More options").click()
    page.get_by_label("Shortest thought, in tokens").fill(str(LONG))
    page.get_by_label("End a thought that repeats itself").uncheck()
    page.get_by_label("Look for a good end").fill("0")


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def read_receipt(page: Page) -> dict[str, str]:
    """Return the last receipt, as the page shows it in full."""
    receipt = page.locator(".receipt").last
    receipt.get_by_text("Receipt in full").click()
    expect(receipt.locator(".fields div").last).to_be_visible()
    rows = receipt.locator(".fields div").all_inner_texts()
    return dict(re.split(r"\s+", row, maxsplit=1) for row in rows)


def test_the_budget_that_is_set_is_the_one_that_is_used(page: Page) -> None:
    page.get_by_label("Show thoughts").check()
    for budget, stop in ((0, "none"), (200, "natural"), (24, "budget|grace")):
        set_budget(page, budget)
        with page.expect_response("**/v1/chat/completions") as sent:
            ask(page)
        body = sent.value.request.post_data_json or {}
        assert body["max_thinking_tokens"] == budget
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
        receipt = read_receipt(page)
        assert receipt["requested"] == str(budget)
        assert int(receipt["used"]) <= budget
        assert re.fullmatch(stop, receipt["stop"]), receipt
        page.get_by_role("button", name="New conversation").click()


def act_once_it_thinks(page: Page, button: str | None) -> None:
    """Let the page press a button as soon as a thought runs, or leave.

    The thought is over in seconds; who looks from outside may be too late.
    """
    page.evaluate(ONCE_IT_THINKS, button)


def test_a_running_thought_gets_more(page: Page) -> None:
    think_long(page)
    act_once_it_thinks(page, "tokens more")
    ask(page)
    expect(page.get_by_text(re.compile(r"tokens? granted\."))).to_be_visible()
    expect(page.locator(".receipt")).to_be_visible()
    receipt = read_receipt(page)
    assert int(receipt["extended"]) > 0
    assert LONG < int(receipt["budget"]) == LONG + int(receipt["extended"])
    assert int(receipt["used"]) <= int(receipt["budget"])


def test_a_running_thought_is_ended_and_the_answer_comes(page: Page) -> None:
    think_long(page)
    act_once_it_thinks(page, "Answer now")
    ask(page)
    expect(page.get_by_text("the thought ended because you ended it")).to_be_visible()
    bar = page.get_by_role("progressbar", name="Thinking budget used")
    expect(bar).to_have_attribute("aria-valuemax", str(LONG))
    receipt = read_receipt(page)
    assert receipt["stop"] == "caller"
    assert int(receipt["used"]) < LONG
    expect(page.locator(".answer")).not_to_be_empty()


def test_who_stops_or_leaves_stops_the_engine(page: Page, thinker_server: ThinkerServer) -> None:
    def count_cancelled() -> float:
        text = httpx.get(f"{thinker_server.base_url}/metrics", timeout=30).text
        (line,) = (line for line in text.splitlines() if line.startswith(CANCELLED))
        return float(line.rpartition(" ")[2])

    before = count_cancelled()
    think_long(page)
    act_once_it_thinks(page, "Stop")
    ask(page)
    expect(page.get_by_text("Stopped; what had come is kept.")).to_be_visible()
    act_once_it_thinks(page, None)
    ask(page)
    page.wait_for_url("about:blank")
    while count_cancelled() < before + 2:  # the test's own time limit bounds it
        page.wait_for_timeout(50)


def test_a_map_colours_the_text(page: Page) -> None:
    page.get_by_role("button", name="Map of a text").click()
    page.get_by_role("textbox", name="Text", exact=True).fill("7+5=12")
    page.get_by_role("button", name="Draw the map").click()
    # It comes last; the tokens come in any order.
    expect(page.get_by_text("Mean gain")).to_be_visible()
    expect(page.get_by_role("table")).to_be_visible()
    assert "".join(page.locator(".map-text .gain").all_inner_texts()) == "7+5=12"


def test_the_curve_of_the_model_is_drawn_with_the_budget(page: Page) -> None:
    curve = page.get_by_role("img", name=re.compile("Accuracy at budgets"))
    expect(curve).to_be_visible()
    line = curve.locator(".here")
    at_once = line.get_attribute("x1")
    set_budget(page, 4)
    expect(line).not_to_have_attribute("x1", at_once or "")


def ask_some(base_url: str) -> None:
    """Ask at many budgets at once, while the operator's page looks on."""

    def ask_at(budget: int) -> int:
        message = {"role": "user", "content": QUESTION}
        body = {"model": "thinker", "messages": [message], "max_thinking_tokens": budget}
        return httpx.post(f"{base_url}/v1/chat/completions", json=body, timeout=120).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask_at, (0, 16, 24, 32, 48, 64, 96, 128) * 6)) == {200}


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
def test_pictures_of_the_pages(
    browser: Browser, thinker_server: ThinkerServer, pictures: Path, look: str
) -> None:
    options: dict[str, Any] = {"color_scheme": "dark"} if look == "dark" else {}
    if look == "narrow":
        options = {"viewport": NARROW}
    with visit(browser, thinker_server.base_url, device_scale_factor=2, **options) as made:
        page = made.open()
        if look != "narrow":
            page.get_by_label("Compare with a second budget").check()
            page.get_by_label("Second budget, number of tokens").fill("24")
            set_budget(page, 96)
            page.get_by_label("Show thoughts").check()
        ask(page)
        expect(page.locator(".receipt")).to_have_count(1 if look == "narrow" else 2)
        page.get_by_label("Your question").blur()
        assert find_violations(page) == []
        page.screenshot(path=pictures / f"playground-{look}.png")
        page = made.open("status")
        ask_some(thinker_server.base_url)
        expect(page.locator(".tile svg").nth(4)).to_be_attached()
        assert find_violations(page) == []
        page.screenshot(path=pictures / f"status-{look}.png")
