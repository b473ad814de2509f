"""The server to call: flags override the environment, and the key is never shown."""

import argparse

import pytest

from clients.cli import main
from clients.connection import DEFAULT_URL, Connection, add_connection_options


def make_connection(*arguments: str) -> Connection:
    parser = argparse.ArgumentParser()
    add_connection_options(parser)
    return Connection.from_arguments(parser.parse_args(arguments))


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://there/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    assert make_connection() == Connection("http://there/v1", "sesame")
    assert make_connection("--url", "http://x/v1", "--api-key", "y").base_url == "http://x/v1"
    assert make_connection("--api-key", "y").api_key == "y"


def test_without_either_the_server_on_this_machine_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert make_connection() == Connection(DEFAULT_URL, "none", None)


def test_the_key_is_in_no_repr() -> None:
    assert "sesame" not in repr(make_connection("--api-key", "sesame"))


async def test_the_plain_client_has_url_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with make_connection(
        "--url", "http://x/v1", "--api-key", "sesame"
    ).make_http_client() as client:
        assert str(client.base_url) == "http://x/v1/"
        assert client.headers["Authorization"] == "Bearer sesame"


@pytest.mark.parametrize("command", ["chat", "eval", "compare", "verify", "export"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "usage: thinking" in capsys.readouterr().out
