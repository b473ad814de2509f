"""What each client of others gets from the real server, seen through its own objects."""

from collections.abc import Callable, Sequence

import pytest

from tests.sdk.catalogue import CLIENTS, Client
from tests.sdk.conftest import Reply, Report
from tests.sdk.drivers.report import BUDGET

VENDORS = ("openai", "anthropic", "@anthropic-ai/sdk")
pytestmark = [pytest.mark.e2e, pytest.mark.sdk]

OF_THE_VENDORS = [client for client in CLIENTS if client.package in VENDORS]
ReplyOf = Callable[[Client, str], Reply]


def each_of(clients: Sequence[Client]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", clients, ids=lambda client: client.driver)


def having(feature: str) -> pytest.MarkDecorator:
    """All clients that have `feature`."""
    return each_of([client for client in CLIENTS if feature in client.features])


@pytest.fixture
def reply_of(report_of: Callable[[Client], Report]) -> ReplyOf:
    def reply(client: Client, feature: str) -> Reply:
        answer: Reply = report_of(client)["replies"][feature]
        assert "error" not in answer, answer["error"]
        return answer

    return reply


def is_within(reply: Reply) -> bool:
    return 0 < int(reply["reasoning_tokens"]) <= int(reply.get("budget", BUDGET))


@each_of(CLIENTS)
def test_what_runs_is_the_locked_version(
    client: Client, report_of: Callable[[Client], Report]
) -> None:
    assert report_of(client)["version"] == client.locked_version()


@each_of(CLIENTS)
def test_a_driver_tries_what_the_table_says_and_nothing_else(
    client: Client, report_of: Callable[[Client], Report]
) -> None:
    assert set(report_of(client)["replies"]) == set(client.features)


@having("plain")
def test_a_plain_call_is_answered(client: Client, reply_of: ReplyOf) -> None:
    assert reply_of(client, "plain")["text"]


@having("streamed")
def test_a_stream_comes_in_pieces(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "streamed")
    assert reply["text"]
    assert reply["num_pieces"] > 1


@having("budget")
def test_a_budget_is_kept_and_the_client_sees_what_was_thought(
    client: Client, reply_of: ReplyOf
) -> None:
    assert is_within(reply_of(client, "budget"))


# Other clients keep only the fields that OpenAI's replies have.
@each_of(OF_THE_VENDORS)
def test_the_receipt_comes_through_and_agrees_with_the_usage(
    client: Client, reply_of: ReplyOf
) -> None:
    reply = reply_of(client, "budget")
    assert reply["receipt"]["budget"] == BUDGET
    assert reply["receipt"]["used"] == reply["reasoning_tokens"]


@having("tools")
def test_a_tool_that_must_be_called_is_called(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "tools")
    assert reply["name"] == "get_weather"
    assert is_weather(reply["arguments"])


@having("structured")
def test_a_structured_answer_keeps_its_schema(client: Client, reply_of: ReplyOf) -> None:
    assert is_weather(reply_of(client, "structured")["value"])


@having("agent")
def test_an_agent_calls_a_tool_and_then_answers_in_its_type(
    client: Client, reply_of: ReplyOf
) -> None:
    reply = reply_of(client, "agent")
    assert is_weather(reply["value"])
    assert reply["num_calls"] >= 1


@having("responses")
def test_responses_answer_within_the_budget(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "responses")
    assert reply["text"]
    assert is_within(reply)


@having("thoughts")
def test_its_helper_for_streams_follows_thoughts_hidden_shown_and_summarised(
    client: Client, reply_of: ReplyOf
) -> None:
    views = reply_of(client, "thoughts")
    assert views["hidden"]["thought"] == ""
    assert views["shown"]["thought"]
    assert views["summarised"]["thought"]
    for view in views.values():
        assert view["text"]
        assert (view["thought"], view["text"]) == (view["final_thought"], view["final_text"])


@having("progress")
def test_it_sees_how_far_a_hidden_thought_is(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "progress")
    counts = reply["counts"]
    assert counts == sorted(counts)
    assert counts[-1] == reply["reasoning_tokens"]
    assert is_within(reply)


@having("background")
def test_it_takes_up_a_lost_stream_and_misses_nothing(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "background")
    assert reply["numbers"] == list(range(len(reply["numbers"])))
    assert reply["text"] == reply["stored"]
    assert reply["last"] in ("response.completed", "response.incomplete")
    assert [reply["last"].removeprefix("response.")] * 2 == reply["statuses"]


@having("socket")
def test_a_socket_answers_within_the_budget(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "socket")
    assert reply["text"]
    assert is_within(reply)


@having("messages")
def test_messages_answer_within_the_budget(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "messages")
    assert reply["text"]
    assert is_within(reply)


@having("completions")
def test_completions_go_on_within_the_budget(client: Client, reply_of: ReplyOf) -> None:
    reply = reply_of(client, "completions")
    assert reply["text"]
    assert is_within(reply)


@having("history")
def test_its_messages_may_be_sent_back_as_they_came(client: Client, reply_of: ReplyOf) -> None:
    assert len(reply_of(client, "history")["texts"]) == 4


@having("overflow")
def test_it_knows_a_prompt_that_is_too_long(client: Client, reply_of: ReplyOf) -> None:
    errors = reply_of(client, "overflow")["errors"]
    assert errors == dict.fromkeys(errors, "ContextWindowExceededError")
    assert errors


def is_weather(value: dict[str, str]) -> bool:
    return (
        set(value) == {"city", "unit"}
        and value["city"] in ("Berlin", "Paris")
        and value["unit"] in ("celsius", "fahrenheit")
    )
