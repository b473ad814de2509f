"""The pages of clients/examples, run as they stand."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.process import Server
from tests.sdk.catalogue import CLIENTS
from tests.sdk.conftest import ALL_MUST_RUN, EXAMPLES, need, run, tsx

pytestmark = [pytest.mark.e2e, pytest.mark.sdk]

PAGES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())
DRIVERS = {"openai_sdk.py": "openai_python", "anthropic_sdk.py": "anthropic_python"} | {
    "langchain_chat.py": "langchain"
}
# LangChain hands on the count only.
WITH_A_RECEIPT = [page for page in PAGES if page != "langchain_chat.py"]
BUDGET = 64


@pytest.fixture(scope="module")
def output_of(server: Server, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """What a page printed; it is run once."""
    printed: dict[str, str] = {}

    def command(page: str) -> list[str | Path]:
        if page.endswith(".ts"):
            return tsx(request.getfixturevalue("node_folder"), page.removesuffix(".ts"))
        if page.endswith(".sh"):
            need_jq()
            return [EXAMPLES / page]
        (client,) = (client for client in CLIENTS if client.driver == DRIVERS[page])
        need(client)
        return [client.python, EXAMPLES / page]

    def output(page: str) -> str:
        if page not in printed:
            printed[page] = run(
                command(page),
                OPENAI_BASE_URL=f"{server.base_url}/v1",
                ANTHROPIC_BASE_URL=server.base_url,
            )
        return printed[page]

    return output


def need_jq() -> None:
    if shutil.which("jq") is None or shutil.which("curl") is None:
        reason = "there is no curl or no jq on this machine: run `make test-clients`"
        (pytest.fail if os.environ.get(ALL_MUST_RUN) else pytest.skip)(reason)


@pytest.mark.parametrize("page", PAGES)
def test_an_example_shows_its_four_calls(page: str, output_of: Callable[[str], str]) -> None:
    _, plain, streamed, budget, tool = re.split(r"^# .+\n", output_of(page), flags=re.MULTILINE)
    assert plain.strip()
    assert streamed.strip()
    assert "answer:" in budget
    assert re.search(r"^call: +get_weather\(.*(Berlin|Paris)", tool, re.MULTILINE)


@pytest.mark.parametrize("page", WITH_A_RECEIPT)
def test_an_example_prints_the_receipt_of_its_budget(
    page: str, output_of: Callable[[str], str]
) -> None:
    (receipt,) = re.findall(r"^receipt: (.+)$", output_of(page), re.MULTILINE)
    assert json.loads(receipt)["budget"] == BUDGET
    assert 0 < json.loads(receipt)["used"] <= BUDGET


def test_langchain_prints_how_much_was_thought(output_of: Callable[[str], str]) -> None:
    (used,) = re.findall(r"^used: +(\d+)$", output_of("langchain_chat.py"), re.MULTILINE)
    assert 0 < int(used) <= BUDGET
