"""Steering: a response that is running goes over into one that has read what its caller adds."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.scripted_model import LogitsSource, WantedTokens
from tests.examples import examples
from tests.server.api.openai.responses.socket.conftest import (
    LAST,
    Json,
    SocketServer,
    Talk,
    run_sockets,
)
from tests.server.conftest import STOP_ID, TOKENIZER, VOCAB_SIZE, ids
from tests.server.keys.conftest import BOB, make_entry
from tests.server.tools.conftest import write_call

NUMBERS = " ".join(map(str, range(2_000)))
LONG = f"<think>{NUMBERS}"
FREE = {"thinking_options": {"loop_guard": False}, "max_thinking_tokens": 8_000}
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


class Conversing(LogitsSource):
    """Model that wants `first`, and `second` once a prompt has the word "Steer" in it.

    It goes on where a request continues another one's reply. `prompts` has the text of the prompt
    of each reply, in order.
    """

    def __init__(self, first: str, second: str = "<think>Six?</think>Six.") -> None:
        self._first = WantedTokens(VOCAB_SIZE, ids(first), STOP_ID)
        self._second = WantedTokens(VOCAB_SIZE, ids(second), STOP_ID)
        self._num_steers: dict[tuple[int, ...], int] = {}
        self._lengths: dict[int, int] = {}
        self.prompts: list[str] = []

    @property
    def vocab_size(self) -> int:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        return VOCAB_SIZE

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        key = (len(prompt), *prompt[-20:])
        if key not in self._num_steers:
            text = TOKENIZER.decode(prompt)
            self._num_steers[key] = text.count("Steer")
            if self._num_steers[key] not in self._lengths:
                self._lengths[self._num_steers[key]] = len(prompt)
                self.prompts.append(text)
        num_steers = self._num_steers[key]
        source = self._second if num_steers else self._first
        return source.compute_logits((), [*prompt[self._lengths[num_steers] :], *output])


async def begin(talk: Talk, **fields: Any) -> str:
    """Begin a response that thinks for long; return its id."""
    await talk.create(**FREE, **fields)
    return str((await talk.read_until("response.output_item.added"))[0]["response"]["id"])


def check_response(events: Sequence[Json]) -> Json:
    """Check that `events` are those of one whole response; return its end."""
    response_id = events[0]["response"]["id"]
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert sum(kind in LAST for kind in kinds) == 1
    assert all(e["response"]["id"] == response_id for e in events if "response" in e)
    added = [e["item"]["id"] for e in events if e["type"] == "response.output_item.added"]
    done = [e["item"]["id"] for e in events if e["type"] == "response.output_item.done"]
    assert sorted(added) == sorted(done)
    ended: Json = next(event["response"] for event in events if event["type"] in LAST)
    assert [item["id"] for item in ended["output"]] == added
    receipt = ended["thinking"]
    assert receipt["used"] <= receipt["budget"]
    assert ended["usage"]["output_tokens_details"]["reasoning_tokens"] == receipt["used"]
    return ended


def split_responses(events: Sequence[Json]) -> list[list[Json]]:
    """Return the events of each response, without those of steers."""
    found: list[list[Json]] = []
    for event in events:
        if event["type"] == "response.created":
            found.append([])
        if not event["type"].startswith("response.steer."):
            found[-1].append(event)
    return found


@pytest.mark.parametrize("stores", [True, False])
async def test_a_thought_ends_and_a_successor_has_the_new_input(stores: bool) -> None:
    source = Conversing(LONG)
    async with run_sockets(source, max_model_len=12_000) as server, server.connect() as talk:
        response_id = await begin(talk, store=stores, metadata={"a": "b"}, stream_id="lane")
        await talk.steer(response_id, "Steer left.")
        before = await talk.read_until("response.incomplete")
        after = await talk.read_until("response.completed")
        accepted = next(e for e in before if e["type"] == "response.steer.accepted")
        assert accepted["steer"]["previous_response_id"] == response_id
        assert accepted["steer"]["id"].startswith("steer_")
        numbers = [event["sequence_number"] for event in before]
        assert numbers == list(range(numbers[0], numbers[0] + len(before)))
        steered = before[-1]["response"]
        assert steered["status"] == "incomplete"
        assert steered["incomplete_details"] == {"reason": "steered"}
        assert [item["type"] for item in steered["output"]] == ["reasoning"]
        assert steered["output"][0]["status"] == "incomplete"
        assert steered["thinking"]["stop"] == "caller"
        assert 0 < steered["thinking"]["used"] < 8_000
        successor = check_response(after)
        assert successor["previous_response_id"] == response_id
        assert successor["metadata"] == {"a": "b"}  # as all settings are
        assert successor["output"][-1]["content"][0]["text"] == "Six."
        assert {event["stream_id"] for event in (*before, *after)} == {"lane"}
        assert source.prompts[-1].index("How many?") < source.prompts[-1].index("Steer left.")
        used = [response["usage"]["output_tokens"] for response in (steered, successor)]
        assert sum(used) == server.engine.num_generated
        async with server.http as http:
            status = (await http.get(f"/v1/responses/{response_id}")).status_code
        assert status == (200 if stores else 404)


async def test_further_fields_of_a_steer_are_its_successors_and_a_budget_is_not_ignored() -> None:
    async with run_sockets(Conversing(LONG), max_model_len=12_000) as server:  # noqa: SIM117
        async with server.connect() as talk:
            steer = {
                "type": "response.steer",
                "previous_response_id": await begin(talk, stream_id="lane"),
                "input": [{"role": "user", "content": "Steer left.", "id": "msg_1"}],
                "stream_id": "another",
                "event_id": "event_1",
                "max_thinking_tokens": 4,
            }
            await talk.send(steer)
            await talk.read_until("response.incomplete")
            successor = (await talk.read_until(*LAST))[-1]
            assert successor["stream_id"] == "lane"
            assert successor["response"]["thinking"]["requested"] == 4
            again = await begin(talk)
            await talk.send({**steer, "previous_response_id": again, "max_thinking_token": 4})
            failed = (await talk.read_until("response.steer.failed"))[-1]
            assert failed["error"]["code"] == "successor_creation_failed"
            assert "max_thinking_tokens" in failed["error"]["message"]


async def test_the_thought_so_far_is_in_the_history_of_the_successor() -> None:
    async with run_sockets(Conversing(LONG), max_model_len=12_000) as server:  # noqa: SIM117
        async with server.connect() as talk:
            response_id = await begin(talk)
            await talk.steer(response_id, "Steer left.")
            await talk.read_until("response.completed")
            stored = await server.services.responses.get("anonymous", response_id)
    assert stored is not None
    _, thought, message = stored.context
    assert thought["stored_thought"].startswith("0 1 2 3")
    assert (message["role"], message["content"]) == ("assistant", "")


async def test_an_answer_that_has_begun_is_finished() -> None:
    source = Conversing(f"<think>Five.</think>{NUMBERS}")
    async with run_sockets(source, max_model_len=12_000) as server, server.connect() as talk:
        await talk.create(max_output_tokens=200)
        events = await talk.read_until("response.output_text.delta")
        await talk.steer(events[0]["response"]["id"], "Steer left.")
        before = await talk.read_until("response.incomplete")
        assert before[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        after = await talk.read_until("response.completed")
        assert check_response(after)["output"][-1]["content"][0]["text"] == "Six."


async def test_steers_are_put_together_in_order() -> None:
    source = Conversing(f"<think>Five.</think>{NUMBERS}")
    async with run_sockets(source, max_model_len=12_000) as server, server.connect() as talk:
        await talk.create(max_output_tokens=200)
        events = await talk.read_until("response.output_text.delta")
        response_id = events[0]["response"]["id"]
        for text in ("Steer left.", "Then right."):
            parts = [{"type": "input_text", "text": text}]
            await talk.steer(response_id, [{"role": "user", "content": parts}])
        await talk.read_until("response.completed")
        prompt = source.prompts[-1]
        assert prompt.index("Steer left.") < prompt.index("Then right.")
        assert len(source.prompts) == 2


async def test_a_steer_waits_for_the_results_of_calls() -> None:
    source = Conversing(f"<think>Five.</think>{NUMBERS[:200]}{write_call('add', '{}')}")
    async with run_sockets(source, max_model_len=12_000) as server, server.connect() as talk:
        await talk.create(tools=[TOOL])
        events = await talk.read_until("response.output_text.delta")
        response_id = events[0]["response"]["id"]
        await talk.steer(response_id, "Steer left.")
        ended = await talk.read_until(*LAST)
        pending = await talk.read()
        assert pending["type"] == "response.steer.pending"
        assert pending["reason"] == "waiting_for_required_input"
        assert pending["sequence_number"] == ended[-1]["sequence_number"] + 1
        [stub] = pending["required_input"]
        assert (stub["type"], stub["name"]) == ("function_call_output", "add")
        result = [{**stub, "output": "7"}]
        result[0].pop("name")
        after = await talk.respond(previous_response_id=response_id, input=result, tools=[TOOL])
        assert check_response(after)["output"][-1]["content"][0]["text"] == "Six."
        assert "Steer left." in source.prompts[-1]
        # It was used, once.
        again = await talk.respond(previous_response_id=response_id, input=result, tools=[TOOL])
        used = [events[-1]["response"]["usage"]["input_tokens"] for events in (after, again)]
        assert used[1] < used[0] - len("Steer left.")


REFUSED = {
    "nothing": "",
    "no messages": [],
    "a number": 5,
    "another role": [{"role": "system", "content": "x"}],
    "an output": [{"type": "function_call_output", "call_id": "c", "output": "x"}],
    "a part of no type": [{"role": "user", "content": [{"text": "x"}]}],
}


async def test_a_steer_that_is_no_good_is_given_back() -> None:
    async with run_sockets(Conversing(LONG), max_model_len=12_000) as server:  # noqa: SIM117
        async with server.connect() as talk, server.connect() as other:
            response_id = await begin(talk)
            steer = {"type": "response.steer", "previous_response_id": response_id}
            messages = [({**steer, "input": bad}, "invalid_input") for bad in REFUSED.values()]
            messages.append(
                ({**steer, "previous_response_id": "resp_1", "input": "x"}, "response_not_found")
            )
            for message, code in messages:
                await talk.send(message)
                failed = (await talk.read_until("response.steer.failed"))[-1]
                assert failed["error"]["code"] == code
                assert failed["error"]["type"] == "invalid_request_error"
                assert failed["steer"] == {
                    "previous_response_id": message["previous_response_id"],
                    "input": message["input"],
                }
            await other.steer(response_id, "Steer left.")
            assert (await other.read())["error"]["code"] == "response_not_found"
            assert server.engine.num_running == 1  # nothing was disturbed


async def test_an_ended_response_takes_no_steer(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        response_id = (await talk.respond())[-1]["response"]["id"]
        await talk.steer(response_id, "Steer left.")
        failed = await talk.read()
        assert failed["error"]["code"] == "response_already_completed"
        assert "id" not in failed["steer"]


async def test_too_many_steers_are_refused() -> None:
    source = Conversing(f"<think>Five.</think>{NUMBERS}")
    async with run_sockets(source, max_model_len=12_000) as server, server.connect() as talk:
        await talk.create(max_output_tokens=300)
        events = await talk.read_until("response.output_text.delta")
        for _ in range(9):
            await talk.steer(events[0]["response"]["id"], "Steer left.")
        failed = (await talk.read_until("response.steer.failed"))[-1]
        assert failed["error"]["code"] == "too_many_pending_steers"


async def test_a_successor_that_is_refused_gives_the_input_back(tmp_path: Any) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(make_entry("bob", BOB, **{"quota.requests_per_day": "1"}))
    options: dict[str, Any] = {"keys_file": str(path), "max_model_len": 12_000}
    async with run_sockets(Conversing(LONG), **options) as server, server.connect(BOB) as talk:
        response_id = await begin(talk)
        await talk.steer(response_id, "Steer left.")
        events = await talk.read_until("response.steer.failed")
        accepted = next(e for e in events if e["type"] == "response.steer.accepted")
        assert events[-1]["error"]["code"] == "successor_creation_failed"
        assert events[-1]["steer"] == {**accepted["steer"], "input": "Steer left."}
        assert events[-2]["response"]["incomplete_details"] == {"reason": "steered"}


@settings(max_examples=examples(12), suppress_health_check=list(HealthCheck), deadline=None)
@given(
    num_thought=st.integers(0, 40),
    num_answer=st.integers(0, 40),
    moments=st.lists(st.integers(0, 100), min_size=1, max_size=3),
    shows=st.booleans(),
)
async def test_each_token_counts_once_whenever_a_steer_comes(
    num_thought: int, num_answer: int, moments: list[int], shows: bool
) -> None:
    first = f"<think>{NUMBERS[:num_thought]}</think>{NUMBERS[:num_answer]}"
    async with run_sockets(Conversing(first)) as server, server.connect() as talk:
        sent = watch(server, talk, moments)
        await talk.create(include_reasoning=shows)
        events = await talk.read_until(*LAST)
        await asyncio.gather(*sent)
        answered = sum(is_answer(event) for event in events)
        while answered < len(sent) or is_open(events):
            events.append(await talk.read())
            answered += is_answer(events[-1])
        ended = [check_response(each) for each in split_responses(events)]
        assert server.engine.num_running == 0
        used = [response["usage"]["output_tokens"] for response in ended]
        assert sum(used) == server.engine.num_generated
        accepted = [e for e in events if e["type"] == "response.steer.accepted"]
        targets = {event["steer"]["previous_response_id"] for event in accepted}
        assert {response["previous_response_id"] for response in ended[1:]} == targets
        for response, after in zip(ended, [*ended[1:], None], strict=True):
            assert (response["id"] in targets) is (after is not None)
            if response["incomplete_details"] is not None:
                assert after is not None
                assert after["previous_response_id"] == response["id"]


def is_answer(event: Json) -> bool:
    return event["type"] in ("response.steer.accepted", "response.steer.failed")


def is_open(events: Sequence[Json]) -> bool:
    """Return whether a response is still to end, or to begin."""
    accepted = {
        e["steer"]["previous_response_id"] for e in events if e["type"] == "response.steer.accepted"
    }
    begun = [e["response"] for e in events if e["type"] == "response.created"]
    num_ended = sum(event["type"] in LAST for event in events)
    followed = {response["previous_response_id"] for response in begun}
    return num_ended < len(begun) or not accepted <= followed


def watch(server: SocketServer, talk: Talk, moments: Sequence[int]) -> "list[asyncio.Task[None]]":
    """Steer what runs once the engine has generated as many tokens as each of `moments` says."""
    engine, emit = server.engine, server.engine._emit
    waiting, sent = sorted(moments), list[asyncio.Task[None]]()

    def emit_watched(row: Any, token_id: int, raw: Any) -> None:
        emit(row, token_id, raw)
        while waiting and waiting[0] <= engine.num_generated:
            waiting.pop(0)
            reply_id = next(iter(server.services.running), None)
            if reply_id is not None:
                sent.append(asyncio.create_task(talk.steer(reply_id, "Steer left.")))

    engine._emit = emit_watched  # type: ignore[method-assign]
    return sent
