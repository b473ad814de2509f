"""``thinking chat`` on the real engine: a bar, a thought that is ended, and JSON through a pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.pseudo_terminal import CTRL_C, CTRL_D, started_in_terminal
from tests.e2e.shared import ThinkerServer

pytestmark = pytest.mark.e2e

COMMAND = (sys.executable, "-m", "clients.cli", "chat")
BUDGET = 600  # some seconds of thought
HELD_OPEN = ("--extra", f"min_thinking_tokens={BUDGET}", "--option", "loop_guard=false")


def test_a_thought_is_ended_and_the_answer_kept(
    thinker_server: ThinkerServer, tmp_path: Path
) -> None:
    command = [
        *COMMAND,
        "--url",
        f"{thinker_server.base_url}/v1",
        *HELD_OPEN,
        "--budget",
        str(BUDGET),
    ]
    environment = os.environ | {"TERM": "xterm-256color", "XDG_STATE_HOME": str(tmp_path)}
    with started_in_terminal(command, environment) as terminal:
        terminal.wait_for(f"thinker · budget {BUDGET}")
        terminal.type("7 + 5 * 3 =")
        terminal.wait_for(f"/{BUDGET} · ")
        terminal.type("", end=CTRL_C)
        text = terminal.wait_for(f"of {BUDGET} tokens (caller)")
        assert "ending the thought" in text
        assert "answer 0 tokens" not in text
        terminal.type("/receipt")
        terminal.wait_for("caller: you ended it")
        terminal.type("", end=CTRL_D)
        assert terminal.wait_end() == 0


def test_a_script_gets_one_object(thinker_server: ThinkerServer) -> None:
    command = [*COMMAND, "--url", f"{thinker_server.base_url}/v1", "--budget", "64", "--json"]
    done = subprocess.run(
        command, input=b"7 + 5 * 3 =\n", capture_output=True, check=True, timeout=120
    )
    reply = json.loads(done.stdout)
    assert 0 < reply["receipt"]["used"] <= reply["receipt"]["requested"] == 64
    assert reply["answer"]
    assert reply["model"] == "thinker"
    assert done.stderr == b""
