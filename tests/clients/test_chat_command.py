"""``thinking chat`` against our app, on a real socket."""

import io
from collections.abc import Callable

import pytest

from clients.cli import main
from clients.errors import ExitCode
from clients.terminal import Terminal

Typed = Callable[..., None]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return a function that types lines at a terminal."""

    def type_in(*lines: str) -> None:
        waiting = iter(lines)

        def read(prompt: str) -> str:
            try:
                return next(waiting)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", read)

    return type_in


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


def test_the_budget_can_be_changed_in_a_conversation(
    our_url: str, capsys: pytest.CaptureFixture[str], typed: Typed
) -> None:
    typed("6 x 7?", "/budget 64", "6 x 7?", "/thoughts", "/what", "/clear", "again?", "/quit")
    assert main(["chat", "--url", our_url, "--budget", "0"]) == ExitCode.OK
    lines = [line for line in capsys.readouterr().out.splitlines() if line and line[0] != "/"]
    assert lines == ["7", "42", "thoughts are shown", "a" * 40, "42"]


def test_an_error_ends_a_turn_not_the_conversation(
    our_url: str, capsys: pytest.CaptureFixture[str], typed: Typed
) -> None:
    typed("x" * 10_000, "6 x 7?")
    assert main(["chat", "--url", our_url, "--budget", "64"]) == ExitCode.OK
    said = capsys.readouterr()
    assert "error: " in said.err
    assert "42" in said.out


def test_a_field_that_the_server_refuses_is_an_error(
    our_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "?", "--url", our_url, "--effort", "much"]) == ExitCode.FAILED
    assert "reasoning_effort" in capsys.readouterr().err


def test_budget_and_effort_are_not_sent_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "?", "--budget", "1", "--effort", "low"]) == ExitCode.USAGE
    assert "give one" in capsys.readouterr().err


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_no_control_character_of_a_reply() -> None:
    file = FakeTerminal()
    terminal = Terminal(file)
    terminal.write("a\x1b]0;owned\x07b\x9b2J\tc\n", is_dim=False)
    assert file.getvalue() == "a]0;ownedb2J\tc\n"
