"""Open WebUI, in an environment and a home of its own, against the real server.

Installed by ``make test-clients``; 2 GB, so that the usual run leaves it out.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.process import free_port
from tests.e2e.shared import ThinkerServer
from tests.sdk.catalogue import ENVIRONMENTS
from tests.server.pages.browsing import running_browser

pytestmark = [pytest.mark.e2e, pytest.mark.sdk, pytest.mark.slow, pytest.mark.timeout(400)]

ENVIRONMENT = ENVIRONMENTS / "open-webui"
START_SECONDS = 180.0
REQUESTS_SECONDS = 60.0
BUDGET = 96
QUESTION = "7+5-4+8-9 mod 10 ="
# As in docs/recipes/open-webui.md.
PARAMETERS = {
    "temperature": 0,
    "custom_params": {"max_thinking_tokens": BUDGET, "include_reasoning": True},
}


def make_environment(folder: Path, base_url: str) -> dict[str, str]:
    """Return the variables that it runs with, and no others: it sees no secrets of ours."""
    return {
        "HOME": str(folder),
        "PATH": f"{ENVIRONMENT / 'bin'}:/usr/bin:/bin",
        "DATA_DIR": str(folder / "data"),
        "OPENAI_API_BASE_URL": f"{base_url}/v1",
        "OPENAI_API_KEY": "none",
        "ENABLE_OLLAMA_API": "false",
        "WEBUI_AUTH": "false",
        "WEBUI_SECRET_KEY": "of this test",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",
        "DEFAULT_MODEL_PARAMS": json.dumps(PARAMETERS),
        # The tools that it describes to every model are longer than the thinker's context.
        "DEFAULT_MODEL_METADATA": '{"capabilities": {"builtin_tools": false}}',
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


@pytest.fixture
def web_ui(tmp_path: Path, thinker_server: ThinkerServer) -> Iterator[str]:
    """Return the address of an Open WebUI that knows one server: ours."""
    if not (ENVIRONMENT / ".installed").exists():
        if os.environ.get("TEST_ALL_CLIENTS"):
            pytest.fail("open-webui is not installed")
        pytest.skip("open-webui is not installed: run `make test-clients`")
    port = free_port()
    (tmp_path / "data").mkdir()
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                ENVIRONMENT / "bin" / "open-webui",
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            cwd=tmp_path,
            env=make_environment(tmp_path, thinker_server.base_url),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url, process, tmp_path / "log.txt")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"open-webui does not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)


def read_titles(web_ui: str) -> list[str]:
    """Return the titles of the chats, from Open WebUI's own API."""
    with httpx.Client(base_url=web_ui, timeout=30) as http:
        # Without its authentication everybody is its administrator.
        signed_in = http.post("/api/v1/auths/signin", json={"email": "", "password": ""})
        headers = {"authorization": f"Bearer {signed_in.json()['token']}"}
        chats = http.get("/api/v1/chats/", params={"page": 1}, headers=headers).json()
    return [chat["title"] for chat in chats]


def list_chat_requests(server: ThinkerServer, since: int) -> list[dict[str, Any]]:
    """Return the log lines of chats that have ended since a place in the log."""
    lines = [json.loads(line) for line in server.log()[since:].splitlines() if line[:1] == "{"]
    return [line for line in lines if line.get("endpoint") == "/v1/chat/completions"]


def test_models_are_listed_a_chat_streams_its_thought_and_a_title_comes(
    browser: Browser, web_ui: str, thinker_server: ThinkerServer
) -> None:
    since = len(thinker_server.log())
    page: Page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    page.goto(web_ui)
    box = page.locator("#chat-input")
    expect(page.get_by_text("What's New in Open WebUI")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="thinker").first).to_be_visible()
    box.click()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    thought = page.get_by_text(re.compile(r"Thought for"))
    expect(thought).to_be_visible()
    thought.click()
    expect(page.get_by_text("7+5=2").first).to_be_visible()  # the thought's first step
    # The chat itself, and what it asks of the model for the title and the tags.
    until = time.monotonic() + REQUESTS_SECONDS
    while len(list_chat_requests(thinker_server, since)) < 3 and time.monotonic() < until:
        page.wait_for_timeout(100)
    chat, *others = list_chat_requests(thinker_server, since)
    assert chat["status"] == 200
    assert 0 < chat["reasoning_tokens"] <= BUDGET
    assert 200 in [request["status"] for request in others]
    assert read_titles(web_ui) not in ([], ["New Chat"])
    page.context.close()
