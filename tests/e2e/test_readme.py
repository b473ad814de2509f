"""The README's first request is answered as the README says."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"
ITS_BASE_URL = "http://127.0.0.1:8000"


def test_the_curl_shows_a_budget_at_work(server: Server) -> None:
    (command,) = re.findall(r"^```sh\n(curl .*?)```$", README.read_text(), re.M | re.S)
    assert ITS_BASE_URL in command
    command = command.replace(ITS_BASE_URL, server.base_url)
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=280, check=True)
    reply = json.loads(done.stdout)
    (choice,) = reply["choices"]
    assert choice["message"]["content"]
    assert set(choice["message"]) == {"role", "content", "refusal"}
    assert 0 < choice["thinking"]["used"] <= choice["thinking"]["requested"] == 64
    details = reply["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == choice["thinking"]["used"]
