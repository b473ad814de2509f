"""Law 9 on the real engine: the answer keeps its form, the thought is free."""

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.e2e.batch import Replies
from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

SCHEMA = {
    "type": "object",
    "properties": {
        "fruit": {"enum": ["apple", "pear"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
    },
    "required": ["fruit", "count", "words"],
    "additionalProperties": False,
}
CHOICES = ["yes", "no", "perhaps tomorrow"]
REGEX = r"[A-Z]{2}-\d{3}"
GRAMMAR = 'root ::= sum " = " number\nsum ::= number " + " number\nnumber ::= [0-9]{1,3}'


def keeps_schema(answer: str) -> bool:
    value = json.loads(answer)
    return (
        set(value) == {"fruit", "count", "words"}
        and value["fruit"] in ("apple", "pear")
        and 0 <= value["count"] <= 99
        and all(len(word) <= 8 for word in value["words"])
    )


@dataclass(frozen=True)
class Case:
    """Fields of a body, and whether an answer keeps to them."""

    fields: dict[str, Any]
    is_kept_by: Callable[[str], bool]


CASES = {
    "json_schema": Case(
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "fruit", "schema": SCHEMA, "strict": True},
            }
        },
        keeps_schema,
    ),
    "json": Case({"structured_outputs": {"json": json.dumps(SCHEMA)}}, keeps_schema),
    "regex": Case(
        {"structured_outputs": {"regex": REGEX}},
        lambda answer: re.fullmatch(REGEX, answer) is not None,
    ),
    "choice": Case({"structured_outputs": {"choice": CHOICES}}, CHOICES.__contains__),
    "grammar": Case(
        {"structured_outputs": {"grammar": GRAMMAR}},
        lambda answer: re.fullmatch(r"\d{1,3} \+ \d{1,3} = \d{1,3}", answer) is not None,
    ),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "no thought": {"max_thinking_tokens": 0},
    "too small for a lead-in": {"max_thinking_tokens": 12},
    "primer and lead-in": {"max_thinking_tokens": 60},
    "wrap-up": {"max_thinking_tokens": 60, "thinking_options": {"wrap_up": " So,"}},
    "held open": {"max_thinking_tokens": 60, "min_thinking_tokens": 40},
}


@dataclass(frozen=True)
class Reply:
    """One choice, streamed or not."""

    content: str
    reasoning: str | None
    finish_reason: str
    receipt: dict[str, Any]
    usage: dict[str, Any]


def client_of(server: Server) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as opened:
        yield opened


async def replies(client: AsyncOpenAI, *, stream: bool, **fields: Any) -> list[Reply]:
    """Two choices of one request."""
    arguments: dict[str, Any] = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Anna has 3 apples and buys 4. How many?"}],
        "max_completion_tokens": 200,
        "n": 2,
        "seed": 11,
        "extra_body": fields,
    }
    if stream:
        return await _streamed(client, arguments)
    completion = (await client.chat.completions.create(**arguments)).model_dump()
    return [
        Reply(
            choice["message"]["content"],
            choice["message"].get("reasoning"),
            choice["finish_reason"],
            choice["thinking"],
            completion["usage"],
        )
        for choice in completion["choices"]
    ]


async def _streamed(client: AsyncOpenAI, arguments: dict[str, Any]) -> list[Reply]:
    contents, reasonings, finishes = ["", ""], ["", ""], ["", ""]
    receipts: list[dict[str, Any]] = [{}, {}]
    usage: dict[str, Any] = {}
    stream = await client.chat.completions.create(
        **arguments, stream=True, stream_options={"include_usage": True}
    )
    async for event in stream:
        chunk = event.model_dump()
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            index = choice["index"]
            contents[index] += choice["delta"].get("content") or ""
            reasonings[index] += choice["delta"].get("reasoning") or ""
            finishes[index] = choice["finish_reason"] or finishes[index]
            receipts[index] = choice.get("thinking") or receipts[index]
    return [
        Reply(contents[i], reasonings[i] or None, finishes[i], receipts[i], usage) for i in (0, 1)
    ]


Way = tuple[str, str, bool]  # case, options, whether it is streamed
HIDDEN, FREE = "a hidden thought", "no constraint"
STREAMS = [False, True]


@pytest.fixture(scope="module")
def found(server: Server) -> Replies[Way, list[Reply]]:
    """The replies to all cases, asked at once, with free answers among them."""
    shown: dict[Way, dict[str, Any]] = {
        (case, options, stream): {"include_reasoning": True, **OPTIONS[options], **fields.fields}
        for case, fields in CASES.items()
        for options in OPTIONS
        for stream in STREAMS
    }
    hidden: dict[Way, dict[str, Any]] = {
        (case, HIDDEN, stream): {"max_thinking_tokens": 60, **fields.fields}
        for case, fields in CASES.items()
        for stream in STREAMS
    }
    free: dict[Way, dict[str, Any]] = {
        (FREE, "", stream): {"max_thinking_tokens": 20, "temperature": 0} for stream in STREAMS
    }

    async def ask(stream: bool, fields: dict[str, Any]) -> list[Reply]:
        async with client_of(server) as client:
            return await replies(client, stream=stream, **fields)

    return Replies(
        {way: partial(ask, way[2], fields) for way, fields in (shown | hidden | free).items()}
    )


@pytest.mark.parametrize("stream", STREAMS, ids=["whole", "streamed"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("case", CASES)
def test_the_answer_keeps_its_form_and_the_thought_is_free(
    found: Replies[Way, list[Reply]], case: str, options: str, stream: bool
) -> None:
    budget = OPTIONS[options]["max_thinking_tokens"]
    both = found[case, options, stream]
    for reply in both:
        assert reply.finish_reason == "stop"
        assert CASES[case].is_kept_by(reply.content), reply.content
        assert reply.receipt["used"] <= budget
        if budget == 60:
            assert reply.reasoning
            assert len(re.findall(r"[A-Za-z]+", reply.reasoning)) > 3  # no JSON, no regex
            assert reply.receipt["used"] > 20
    details = both[0].usage["completion_tokens_details"]
    assert details["reasoning_tokens"] == sum(reply.receipt["used"] for reply in both)
    assert both[0].usage["completion_tokens"] > details["reasoning_tokens"]


@pytest.mark.parametrize("stream", STREAMS, ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES)
def test_a_hidden_thought_stays_hidden(
    found: Replies[Way, list[Reply]], case: str, stream: bool
) -> None:
    for reply in found[case, HIDDEN, stream]:
        assert reply.reasoning is None
        assert reply.receipt["used"] > 0
        assert CASES[case].is_kept_by(reply.content), reply.content


@pytest.mark.parametrize("budget", [0, 60])
async def test_a_json_object_is_json_unless_it_is_cut(client: AsyncOpenAI, budget: int) -> None:
    fields = {"response_format": {"type": "json_object"}, "max_thinking_tokens": budget}
    for reply in await replies(client, stream=False, **fields):
        assert reply.content.lstrip().startswith("{")
        if reply.finish_reason == "stop":
            assert isinstance(json.loads(reply.content), dict)


@pytest.mark.parametrize("stream", STREAMS, ids=["whole", "streamed"])
def test_a_constraint_does_not_touch_the_requests_beside_it(
    found: Replies[Way, list[Reply]], stream: bool
) -> None:
    for plain in found[FREE, "", stream]:
        assert len(re.findall(r"[A-Za-z]+", plain.content)) > 3


# What cannot be enforced, and the field that the 400 must name.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": ({"json": {"type": "objct"}}, "json"),
    "no such reference": ({"json": {"$ref": "#/nope"}}, "json"),
    "no end": ({"json": {"$ref": "#"}}, "json"),
    "no value": ({"json": {"type": "integer", "minimum": 5, "maximum": 2}}, "json"),
    "unknown format": ({"json": {"type": "string", "format": "hunter2"}}, "json"),
    "unclosed": ({"regex": "("}, "regex"),
    "look-ahead": ({"regex": "(?=a)b"}, "regex"),
    "nothing but the empty text": ({"regex": "()"}, "regex"),
    "compiles for minutes": ({"regex": ".*" * 1000}, "regex"),
    "freezes at a token": ({"regex": "(.?.?.?.?x?)*" * 10}, "regex"),
    "not a grammar": ({"grammar": "root ::= ("}, "grammar"),
    "missing rule": ({"grammar": "root ::= nope"}, "grammar"),
    "goes in circles": ({"grammar": "root ::= a\na ::= root"}, "grammar"),
}


@pytest.fixture(scope="module")
def refused(server: Server) -> Replies[tuple[str, bool], httpx.Response]:
    """The answers to all of them, asked at once."""

    async def ask(bad: str, stream: bool) -> httpx.Response:
        body = {
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "hi"}],
            "structured_outputs": BAD[bad][0],
            "max_tokens": 10,
            "stream": stream,
        }
        async with httpx.AsyncClient(base_url=server.base_url, timeout=240) as http:
            return await http.post("/v1/chat/completions", json=body)

    return Replies({(bad, stream): partial(ask, bad, stream) for bad in BAD for stream in STREAMS})


@pytest.mark.parametrize("stream", STREAMS, ids=["whole", "streamed"])
@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_enforced_is_a_400_before_anything_is_generated(
    refused: Replies[tuple[str, bool], httpx.Response], bad: str, stream: bool
) -> None:
    response = refused[bad, stream]
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == f"structured_outputs.{BAD[bad][1]}"
    assert set(error) == {"message", "type", "param", "code"}
