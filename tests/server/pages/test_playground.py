"""The playground in a real browser, over a scripted engine: traps, refusals, keys, and axe."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.conftest import MODEL
from tests.server.keys.conftest import KeyFile, make_entry
from tests.server.pages.browsing import NARROW, Visit, find_violations, visit
from tests.server.pages.conftest import serve_text

# What a page would execute, load or follow if it took a model's text for HTML.
TRAPS = (
    "<think>hm</think><script>alert(1)</script><img src=x onerror=alert(2)>"
    "<style>body{display:none}</style>\n\n[click](javascript:alert(3)) [ok](https://example.com/)"
    "![pixel](https://example.com/leak.png)\n\n**bold** `code`\n\n"
    "<form action=https://example.com><input name=k></form><iframe src=//example.com></iframe>"
)
KEY, OTHER = "sk-alice-0123456789abcdef", "sk-bob-0123456789abcdef00"


@pytest.fixture(scope="module")
def trap_url() -> Iterator[str]:
    with serve_text(TRAPS) as url:
        yield url


@pytest.fixture
def trap_visit(browser: Browser, trap_url: str) -> Iterator[Visit]:
    with visit(browser, trap_url) as made:
        yield made


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()
    page.keyboard.press("Enter")


def test_nothing_in_an_answer_is_executed_loaded_or_hidden(trap_visit: Visit) -> None:
    page = trap_visit.open()
    ask(page, "<img src=x onerror=alert(9)><script>alert(8)</script>")
    expect(page.locator(".receipt").first).to_be_visible()
    answer = page.locator(".answer")
    # HTML is text, and Markdown is rendered.
    expect(answer).to_contain_text("<script>alert(1)</script><img src=x onerror=alert(2)>")
    expect(answer).to_contain_text("![pixel](https://example.com/leak.png)")
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("script, img, style, form, input, iframe")).to_have_count(0)
    expect(answer.get_by_role("link")).to_have_count(1)
    expect(answer.get_by_role("link", name="ok")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    expect(page.locator(".question")).to_contain_text("<img src=x onerror=alert(9)>")
    expect(page.get_by_text("Thought", exact=True)).to_have_count(0)  # it was hidden


def test_the_whole_page_works_with_the_keyboard_alone(trap_visit: Visit) -> None:
    page = trap_visit.open()
    slider = page.get_by_role("slider", name="Thinking budget, in tokens")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        before = slider.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowRight")
        expect(slider).not_to_have_attribute("aria-valuetext", before or "")
    number = page.get_by_label("Thinking budget, number of tokens")
    expect(number).to_have_value("3")
    number.fill("64")
    page.keyboard.press("Tab")
    expect(slider).to_have_attribute("aria-valuetext", "64 tokens")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the mark of the next effort
    expect(page.get_by_role("button", name="none", exact=True)).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", "0 tokens")
    page.get_by_label("Your question").focus()
    page.keyboard.type("first line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_text("first line\nsecond line")
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.get_by_text("It did not think.")).to_be_visible()


def test_code_to_copy_sends_the_same_request(trap_visit: Visit) -> None:
    page = trap_visit.open()
    page.get_by_label("Thinking budget, number of tokens").fill("48")
    page.get_by_label("Show thoughts").check()
    ask(page, 'it\'s "quoted"')
    page.get_by_role("button", name="As code").click()
    dialog = page.get_by_role("dialog", name="The same as code")
    code = dialog.locator("code")
    expect(code).to_contain_text(f"curl {trap_visit.base_url}/v1/chat/completions")
    expect(code).to_contain_text("it'\\''s")
    dialog.get_by_role("button", name="Python").click()
    expect(code).to_contain_text("import")
    text = code.inner_text()
    compile(text, "snippet", "exec")
    assert f'base_url="{trap_visit.base_url}/v1"' in text
    assert '"max_thinking_tokens": 48' in text
    assert '"include_reasoning": True' in text
    dialog.get_by_role("button", name="JSON").click()
    expect(code).to_contain_text(f'"model": "{MODEL}"')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_two_budgets_side_by_side_and_the_conversation_goes_on_from_one(
    trap_visit: Visit,
) -> None:
    page = trap_visit.open()
    page.get_by_label("Compare with a second budget").check()
    ask(page, "Which?")
    replies = page.locator(".reply")
    expect(replies).to_have_count(2)
    expect(page.locator(".receipt")).to_have_count(2)
    expect(replies.nth(1)).to_contain_text("0 tokens")
    expect(replies.nth(1)).to_contain_text("It did not think.")
    page.get_by_role("button", name="Go on from here").click()
    expect(page.get_by_role("button", name="The conversation goes on from here")).to_have_count(1)
    page.get_by_label("Compare with a second budget").uncheck()
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "And now?")
    body = sent.value.post_data_json or {}
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_a_refusal_is_explained_and_what_was_typed_is_kept(trap_visit: Visit) -> None:
    page = trap_visit.open()
    long = "a word " * 20_000
    ask(page, long)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("400")
    expect(alert).to_contain_text("context length")
    expect(page.get_by_label("Your question")).to_have_value(long)
    page.reload()
    expect(page.get_by_label("Your question")).to_have_value(long)


def test_pasted_binary_is_asked_without_what_no_prompt_needs(trap_visit: Visit) -> None:
    page = trap_visit.open()
    ask(page, "\x00\x01\x1b[31mred\x7f\ufffe and\tplain\ud800")
    expect(page.locator(".receipt")).to_be_visible()
    expect(page.locator(".question")).to_contain_text("[31mred and\tplain")


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(browser: Browser) -> None:
    with serve_text("<think>a</think>b") as url, visit(browser, url) as made:
        page = made.open()
        ask(page, "first")
        expect(page.locator(".receipt")).to_be_visible()
        page.route("**/v1/chat/completions", lambda route: route.abort("connectionrefused"))
        ask(page, "second")
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        expect(page.get_by_label("Your question")).to_have_value("second")
        expect(page.locator(".answer").first).to_have_text("b")
        page.unroute("**/v1/chat/completions")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".receipt")).to_have_count(2)


def test_keys_are_asked_for_kept_in_the_tab_and_decide_what_is_shown(
    browser: Browser, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.toml")
    fields = {"show_thoughts": "false", "quota.requests_per_day": "2"}
    file.write(make_entry("alice", KEY, **fields))
    with (
        serve_text("<think>secret</think>open", keys_file=str(file.path)) as url,
        visit(browser, url) as made,
    ):
        page = made.open()
        expect(page.get_by_role("alert")).to_contain_text("401")
        page.get_by_role("button", name="Set key").click()
        page.get_by_label("Key", exact=True).fill(OTHER)
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("alert")).to_contain_text("401")
        page.get_by_role("button", name="Key set").click()
        page.get_by_label("Key", exact=True).fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_label("Show thoughts (this key may not see them)")).to_be_disabled()
        for _ in range(2):
            ask(page, "hello")
            expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
        ask(page, "too much")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("429")
        expect(alert).to_contain_text("Try again in")
        expect(page.get_by_label("Your question")).to_have_value("too much")
        assert "secret" not in page.content()
        assert KEY not in page.content() + page.url
        assert KEY not in str(page.evaluate("JSON.stringify(localStorage)"))
        page.reload()
        expect(page.get_by_role("button", name="Key set")).to_be_visible()


def test_colours_follow_the_system_until_they_are_chosen(browser: Browser, trap_url: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with visit(browser, trap_url, color_scheme="dark") as made:
        page = made.open()
        dark = page.evaluate(background)
        page.get_by_role("button", name="Theme: system").click()
        light = page.evaluate(background)
        assert dark != light
        page.reload()
        expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
        assert page.evaluate(background) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(
    browser: Browser, trap_url: str, scheme: str, viewport: dict[str, int] | None
) -> None:
    size = {"viewport": viewport} if viewport else {}
    with visit(browser, trap_url, color_scheme=scheme, **size) as made:
        page = made.open()
        expect(page.get_by_role("heading", name="How much should it think?")).to_be_visible()
        assert find_violations(page) == []
        if viewport:
            page.get_by_text("Thinking budget and options").click()
        page.get_by_text("More options").click()
        page.get_by_label("Show thoughts").check()
        ask(page, "Why?")
        expect(page.locator(".receipt")).to_be_visible()
        page.get_by_text("Receipt in full").click()
        assert find_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("button", name="As code").click()
        assert find_violations(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Map of a text").click()
        page.get_by_role("textbox", name="Text", exact=True).fill("abc")
        page.get_by_role("button", name="Draw the map").click()
        expect(page.get_by_role("table")).to_be_visible()
        assert find_violations(page) == []
