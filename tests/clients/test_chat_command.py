"""``thinking chat`` with one question: text for people, JSON for scripts, no terminal."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from clients.cli import main
from clients.errors import ExitCode
from tests.clients.conftest import ForeignServer

NOWHERE = "http://127.0.0.1:9/v1"


def ask_for_json(*arguments: str, stdin: str | bytes = "6 x 7?") -> tuple[int, dict[str, Any]]:
    """Return the exit status and the object on standard output, of a process with pipes."""
    raw = stdin if isinstance(stdin, bytes) else stdin.encode()
    command = [sys.executable, "-m", "clients.cli", "chat", "--json", *arguments]
    done = subprocess.run(command, input=raw, capture_output=True, check=False, timeout=60)
    assert b"\x1b" not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_answer_goes_to_stdout_and_the_receipt_to_stderr(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "6 x 7?", "--url", our_url, "--budget", "64"]) == ExitCode.OK
    said = capsys.readouterr()
    assert said.out == "42\n"
    assert "of 64 tokens (natural)" in said.err
    assert "answer 3 tokens" in said.err


def test_thoughts_are_shown_only_when_asked_for(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["chat", "6 x 7?", "--url", our_url, "--budget", "64", "--show-thoughts"])
    assert capsys.readouterr().out == f"{'a' * 40}\n\n42\n"
    main(["chat", "6 x 7?", "--url", our_url, "--budget", "64"])
    assert "a" not in capsys.readouterr().out


def test_a_question_can_come_through_a_pipe(
    our_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("6 x 7?\n"))
    assert main(["chat", "--url", our_url, "--budget", "0"]) == ExitCode.OK
    assert capsys.readouterr().out == "7\n"


def test_a_field_that_the_server_refuses_is_an_error(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "?", "--url", our_url, "--effort", "much"]) == ExitCode.FAILED
    assert "reasoning_effort" in capsys.readouterr().err


def test_budget_and_effort_are_not_sent_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "?", "--budget", "1", "--effort", "low"]) == ExitCode.USAGE
    assert "give one" in capsys.readouterr().err


def test_json_is_one_object_with_answer_receipt_and_usage(our_url: str) -> None:
    status, reply = ask_for_json("--url", our_url, "--budget", "64")
    assert status == ExitCode.OK
    assert reply["answer"] == "42"
    assert reply["finish_reason"] == "stop"
    assert reply["receipt"]["requested"] == 64
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 42
    assert reply["model"] == "scripted"
    assert reply["seconds"] > 0
    assert reply["error"] is None
    assert "thought" not in reply


def test_json_has_the_thought_where_it_was_asked_for(our_url: str) -> None:
    _, reply = ask_for_json("--url", our_url, "--budget", "64", "--show-thoughts")
    assert reply["thought"] == "a" * 40


def test_json_is_an_object_with_an_error_where_the_server_is_gone() -> None:
    status, reply = ask_for_json("--url", NOWHERE, "--retries", "0")
    assert status == ExitCode.FAILED
    assert reply["answer"] is None
    assert "cannot be reached" in reply["error"]["message"]
    assert reply["error"]["status"] is None


def test_json_says_the_status_of_a_refusal(our_url: str) -> None:
    status, reply = ask_for_json("--url", our_url, stdin="x" * 10_000)
    assert status == ExitCode.FAILED
    assert reply["error"]["status"] == 400


def test_bytes_that_are_no_text_are_asked_about_nevertheless(our_url: str) -> None:
    status, reply = ask_for_json("--url", our_url, "--budget", "0", stdin=b"6 \xff\x00 x 7?")
    assert (status, reply["answer"]) == (ExitCode.OK, "7")


def test_json_without_a_question_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["chat", "--json"]) == ExitCode.USAGE
    assert "needs a question" in capsys.readouterr().err


def test_a_conversation_without_a_terminal_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["chat"]) == ExitCode.USAGE
    assert "needs a terminal" in capsys.readouterr().err


def test_no_environment_variable_brings_colours_into_a_pipe(our_url: str) -> None:
    command = [sys.executable, "-m", "clients.cli", "chat", "6 x 7?", "--url", our_url]
    environment = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"42\n"
    assert b"\x1b" not in done.stderr


def test_a_stream_that_ends_too_soon_is_an_error(
    foreign_server: ForeignServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # It answers without streaming, so that no stream with an end comes.
    assert main(["chat", "?", "--url", foreign_server.url]) == ExitCode.FAILED
    assert "ended before the reply" in capsys.readouterr().err
