"""Commands without a terminal: what they know agrees with what the server knows."""

import pytest

from clients.chat.commands import COMMANDS, OPTION_NAMES, Outcome, run_command
from clients.chat.session import ChatSession
from clients.chat.settings import EFFORTS, ChatSettings
from clients.errors import UsageError
from server.api.fields.thinking_options import ThinkingOptions
from tests.house.sources import ROOT
from thinking.budget import Effort


def test_the_options_that_are_completed_are_those_of_the_server() -> None:
    assert set(OPTION_NAMES) == set(ThinkingOptions.model_fields)


def test_the_efforts_are_those_of_the_server() -> None:
    assert tuple(effort.value for effort in Effort) == EFFORTS


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if not command.argument]
)
def test_a_command_without_an_argument_refuses_one(name: str) -> None:
    with pytest.raises(UsageError, match="takes no argument"):
        run_command(ChatSession("m", ChatSettings()), f"{name} x")


@pytest.mark.parametrize("line", ["/receipt", "/retry", "/save c.md"])
def test_a_command_on_the_last_reply_needs_one(line: str) -> None:
    with pytest.raises(UsageError, match="nothing was answered yet"):
        run_command(ChatSession("m", ChatSettings()), line)


def test_budget_and_effort_replace_each_other() -> None:
    session = ChatSession("m", ChatSettings())
    run_command(session, "/budget 64")
    run_command(session, "/effort high")
    assert session.settings.to_fields() == {"reasoning_effort": "high"}
    run_command(session, "/budget 8")
    assert session.settings.to_fields() == {"max_thinking_tokens": 8}


def test_an_option_is_taken_back() -> None:
    session = ChatSession("m", ChatSettings())
    run_command(session, '/option gate={"mode": "off"}')
    assert session.settings.to_fields() == {"thinking_options": {"gate": {"mode": "off"}}}
    assert run_command(session, "/option gate=") == Outcome("thinking_options: none")
    assert session.settings.to_fields() == {}


def test_the_page_has_every_command() -> None:
    page = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`{name}" not in page] == []
