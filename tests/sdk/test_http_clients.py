"""HTTP clients as they come: each asks for another protocol, and is answered in HTTP/1.1."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attack.conftest import CHAT, Attacked, attacked_server
from tests.server.conftest import chat_body

pytestmark = pytest.mark.sdk
SECONDS = 120
BODY = json.dumps(chat_body(max_completion_tokens=8, max_thinking_tokens=0))
JAVA = Path(__file__).parent / "java" / "PostChat.java"


@pytest.fixture(scope="module")
def scripted() -> Iterator[Attacked]:
    """A server over the scripted engine, with times for a busy machine."""
    times: dict[str, Any] = {
        f"{name}_timeout_seconds": SECONDS for name in ("header", "body", "send")
    }
    with attacked_server(**times) as running:
        yield running


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def can_compile_java() -> bool:
    """Return whether there is a JDK with its compiler; a runtime cannot run a source file."""
    return all(map(shutil.which, ("java", "javac")))


@pytest.mark.skipif(not can_compile_java(), reason="no JDK is installed")
def test_the_jdks_client_is_answered(scripted: Attacked) -> None:
    answers = run("java", JAVA, scripted.url + CHAT, BODY).splitlines()
    assert len(answers) == 3
    for answer in answers:
        version, status, body = answer.split(" ", 2)
        assert (version, status) == ("HTTP_1_1", "200"), answer
        assert json.loads(body)["choices"]


def has_curl_with_http2() -> bool:
    """Return whether curl is installed and knows HTTP/2."""
    return bool(shutil.which("curl")) and "HTTP2" in run("curl", "--version")


@pytest.mark.skipif(not has_curl_with_http2(), reason="no curl with HTTP/2 is installed")
@pytest.mark.parametrize("more", [[], ["--header", "transfer-encoding: chunked"]])
def test_curl_that_asks_for_http2_is_answered(scripted: Attacked, more: list[str]) -> None:
    url = scripted.url + CHAT
    kind = ["--header", "content-type: application/json", "--data", BODY]
    written = ["--silent", "--write-out", " %{http_version} %{http_code}"]
    # Twice, on one connection.
    answer = run("curl", "--http2", *written, *kind, *more, url, url)
    assert answer.count('"object":"chat.completion"') == 2
    assert answer.endswith(" 1.1 200")


@pytest.mark.skipif(not has_curl_with_http2(), reason="no curl with HTTP/2 is installed")
def test_curl_that_only_speaks_http2_is_refused_and_harms_nothing(scripted: Attacked) -> None:
    done = subprocess.run(
        ["curl", "--http2-prior-knowledge", "--silent", scripted.url],
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode != 0
    scripted.check_well()
