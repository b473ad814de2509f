"""The page of the OpenAPI document in a real browser: with keys, and requests that are tried."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.server.keys.conftest import KeyFile, make_entry
from tests.server.pages.browsing import visit
from tests.server.pages.conftest import serve_text

KEY = "sk-alice-0123456789abcdef"


def test_operations_are_shown_and_tried_with_the_key_of_the_tab(
    browser: Browser, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.toml")
    file.write(make_entry("alice", KEY))
    with serve_text("yes", keys_file=str(file.path)) as url, visit(browser, url) as made:
        page = made.open("docs")
        expect(page.get_by_role("alert")).to_contain_text("401")
        page.get_by_role("button", name="Set key").click()
        page.get_by_label("Key", exact=True).fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_text("/v1/chat/completions", exact=True)).to_be_visible()
        models = page.locator(".opblock", has_text="List models")
        models.get_by_role("button").first.click()
        models.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/v1/models") as received:
            models.get_by_role("button", name="Execute").click()
        assert received.value.status == 200
        assert KEY not in page.url
