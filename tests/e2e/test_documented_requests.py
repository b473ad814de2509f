"""Every request and every program in the documentation is answered by the real server.

A block runs as it stands, against the shared server of the model that it names; only the address is
replaced. What is shown below it is compared where the answer is certain.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from server.hub.model_resolution import DEFAULT_MODEL
from tests.docs.blocks import BLOCKS, Block, select_blocks, split_commands
from tests.e2e.process import Server
from tests.e2e.shared import ThinkerServer

pytestmark = pytest.mark.e2e

THINKER = "thinker"
# The addresses of our server in the documentation.
ADDRESS = re.compile(r"(?:http://)?(?:127\.0\.0\.1|localhost):(?:8000|8921)\b")
# Blocks with a request that cannot be sent as they stand, by page and a text of theirs: why.
NOT_SENT = {
    ("docs/self-improvement.md", "chatcmpl-…"): "the id is the reader's; test_self_improvement.py",
    ("docs/thinker.md", "/classify"): "to vLLM's own pooling server; test_strategies.py",
}
# Likewise programs.
NOT_RUN = {
    ("docs/ledger.md", "hmac"): "reads an exported line; tests/server/ledger/test_signing.py",
    ("docs/recipes.md", "langchain_openai"): "in an environment of its own; tests/sdk runs it",
    ("docs/responses.md", "async with AsyncOpenAI"): "a part; the whole one below it is run",
}
# Every request must succeed, and says so with its status.
PREAMBLE = """\
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 180 "$@"; }
thinking-server() { :; }  # it runs already
"""
SECONDS = 200  # longer than a request may take, so that none outlives its test


def has_request(block: Block) -> bool:
    return any(
        command[0] == "curl" and not command[-1].startswith("https:")
        for command in split_commands(block.text)
    )


def without(blocks: list[Block], reasons: dict[tuple[str, str], str]) -> list[Block]:
    return [
        block
        for block in blocks
        if not any(block.page == page and text in block.text for page, text in reasons)
    ]


REQUESTS = [block for block in select_blocks("sh") if has_request(block)]
PROGRAMS = select_blocks("python")
SENT, RUN = without(REQUESTS, NOT_SENT), without(PROGRAMS, NOT_RUN)


def of_model(blocks: list[Block], model: str) -> list[Block]:
    """Return the blocks for the server of `model`: the embedded one's, or all others."""
    return [b for b in blocks if (DEFAULT_MODEL in b.text) == (model == DEFAULT_MODEL)]


def place(block: Block) -> str:
    return block.place


def send(block: Block, server: Server) -> str:
    """Run a block of shell; every request in it must succeed."""
    if "jq" in block.text and shutil.which("jq") is None:
        pytest.skip("needs jq")
    script = PREAMBLE + ADDRESS.sub(server.base_url, block.text) + "\nwait\n"
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(block: Block, server: Server) -> None:
    """Run a program in this process."""
    program = compile(ADDRESS.sub(server.base_url, block.text), block.place, "exec")
    exec(program, {"__name__": "__main__"})


@pytest.mark.parametrize("block", of_model(SENT, THINKER), ids=place)
def test_a_request_of_the_thinker(block: Block, thinker_server: ThinkerServer) -> None:
    assert send(block, thinker_server)


@pytest.fixture(scope="module")
def asked_at_once(server: Server) -> Iterator[dict[Block, Future[Any]]]:
    """All that is asked of the embedded model, which takes seconds for each."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        asked = {block: pool.submit(send, block, server) for block in of_model(SENT, DEFAULT_MODEL)}
        programs = {
            block: pool.submit(run, block, server) for block in of_model(RUN, DEFAULT_MODEL)
        }
        yield {**asked, **programs}


@pytest.mark.parametrize("block", of_model([*SENT, *RUN], DEFAULT_MODEL), ids=place)
def test_what_is_asked_of_the_embedded_model(
    block: Block, server: Server, asked_at_once: dict[Block, Future[Any]]
) -> None:
    asked_at_once[block].result()


@pytest.mark.parametrize("block", of_model(RUN, THINKER), ids=place)
def test_a_program_with_the_thinker(block: Block, thinker_server: ThinkerServer) -> None:
    run(block, thinker_server)


def block_after(block: Block) -> Block:
    return BLOCKS[BLOCKS.index(block) + 1]


def test_the_readme_shows_the_reply_of_its_request(thinker_server: ThinkerServer) -> None:
    (block,) = (block for block in SENT if block.page == "README.md")
    reply = json.loads(send(block, thinker_server))
    shown = json.loads(block_after(block).text)
    assert_shown(reply, shown)


def test_the_quick_start_shows_what_its_program_prints(
    thinker_server: ThinkerServer, capsys: pytest.CaptureFixture[str]
) -> None:
    block = next(b for b in RUN if b.page == "docs/quick-start.md")
    run(block, thinker_server)
    assert capsys.readouterr().out == block_after(block).text


@pytest.mark.parametrize(
    ("blocks", "reasons"), [(REQUESTS, NOT_SENT), (PROGRAMS, NOT_RUN)], ids=["requests", "programs"]
)
def test_every_reason_belongs_to_a_block(
    blocks: list[Block], reasons: dict[tuple[str, str], str], next_server_loads: None
) -> None:
    for page, text in reasons:
        assert any(block.page == page and text in block.text for block in blocks)


def assert_shown(reply: Any, shown: Any) -> None:
    """Fail unless `reply` has all that is `shown` of it, but for times."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            if name != "seconds":
                assert_shown(reply[name], value)
    elif isinstance(shown, list):
        for part, shown_part in zip(reply, shown, strict=True):
            assert_shown(part, shown_part)
    else:
        assert reply == shown
