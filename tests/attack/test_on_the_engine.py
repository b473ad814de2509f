"""Bombs against the real engine: refused or answered in bounded time, while others are served."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m-instruct"
CHAT = "/v1/chat/completions"
# Generous: a constraint has 5 s, and starting the process that tries them takes a while.
LIMIT_SECONDS = 300.0
NUM_PARALLEL = 20


def _refs(depth: int) -> dict[str, Any]:
    """Each definition asks twice for the next: 2^depth when written out."""
    definitions: dict[str, Any] = {f"d{depth}": {"type": "string"}}
    for level in range(depth):
        ref = {"$ref": f"#/$defs/d{level + 1}"}
        definitions[f"d{level}"] = {
            "type": "object",
            "properties": {"a": ref, "b": ref},
            "required": ["a", "b"],
        }
    return {"$defs": definitions, "$ref": "#/$defs/d0"}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"structured_outputs": {"json": schema}}


def _regex(pattern: str) -> dict[str, Any]:
    return {"structured_outputs": {"regex": pattern}}


def _grammar(text: str) -> dict[str, Any]:
    return {"structured_outputs": {"grammar": text}}


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


BOMBS: dict[str, dict[str, Any]] = {
    "definitions that double": _schema(_refs(30)),
    "a reference to itself": _schema({"$ref": "#"}),
    "references in a ring": _schema(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    ),
    "a reference to elsewhere": _schema({"$ref": "http://127.0.0.1:9/schema"}),
    "a deep schema": _schema(_nested(60)),
    "a schema that is too deep": _schema(_nested(80)),
    "a huge enum": _schema({"enum": [f"value {number}" for number in range(4_000)]}),
    "many optional properties": _schema(
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(500)}}
    ),
    "lengths without end": _schema({"type": "string", "maxLength": 10**9}),
    "a pattern in a schema": _schema({"type": "string", "pattern": "^(a+)+$"}),
    "nested repetitions": _regex("(a+)+$"),
    "nested stars": _regex("((((a*)*)*)*)*"),
    "a hundred thousand": _regex("a{1,100000}"),
    "repetitions of repetitions": _regex("((a{1,100}){1,100}){1,100}"),
    "alternatives that overlap": _regex("(a|a|a|aa|aaa){1,60}b"),
    "groups without end": _regex("(" * 1_000 + "a" + ")" * 1_000),
    "a lookbehind": _regex("(?<=a)b\\1"),
    "an ambiguous grammar": _grammar("root ::= root root | root root root | 'a' | \"\""),
    "a left recursion": _grammar('root ::= root "a"'),
    "rules that double": _grammar(
        "root ::= r0\n"
        + "".join(f"r{n} ::= r{n + 1} r{n + 1}\n" for n in range(60))
        + 'r60 ::= "a"'
    ),
}


def body(**fields: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Say hi."}],
        "max_completion_tokens": 12,
        "max_thinking_tokens": 0,
        **fields,
    }


async def test_bombs_of_every_kind_leave_the_server_responsive(server: Server) -> None:
    """All at once. None is an error of the server, and `/health` answers all along."""
    async with httpx.AsyncClient(base_url=server.base_url, timeout=LIMIT_SECONDS) as client:
        known = body(structured_outputs={"regex": "[a-z]{1,3}"})
        assert (await client.post(CHAT, json=known)).status_code == 200
        bombs = [asyncio.create_task(client.post(CHAT, json=body(**b))) for b in BOMBS.values()]
        assert len(bombs) >= NUM_PARALLEL
        others = [asyncio.create_task(client.post(CHAT, json=b)) for b in (body(), known)]
        await asyncio.gather(*others)
        assert not all(bomb.done() for bomb in bombs)  # nobody waited for the last of them
        assert all(other.result().status_code == 200 for other in others)
        slowest = await _slowest_health(server, bombs)
        answers = [await bomb for bomb in bombs]
        assert slowest < LIMIT_SECONDS / 4
        for name, answer in zip(BOMBS, answers, strict=True):
            assert answer.status_code in (200, 400), (name, answer.text)
            assert len(answer.content) < 5_000, name
        assert (await client.post(CHAT, json=body())).status_code == 200


async def _slowest_health(server: Server, tasks: list[asyncio.Task[httpx.Response]]) -> float:
    """While the tasks run."""
    slowest = 0.0
    async with httpx.AsyncClient(base_url=server.base_url, timeout=LIMIT_SECONDS) as client:
        while not all(task.done() for task in tasks):
            started = time.monotonic()
            assert (await client.get("/health")).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.1)
    return slowest


async def test_a_bomb_behind_a_tool_is_refused_too(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=LIMIT_SECONDS) as client:
        for schema in (_refs(30), _nested(80), {"$ref": "#"}):
            function = {"name": "look", "parameters": schema}
            fields = {"tools": [{"type": "function", "function": function}]}
            forced = {"type": "function", "function": {"name": "look"}}
            answer = await client.post(CHAT, json=body(**fields, tool_choice=forced))
            assert answer.status_code in (200, 400), answer.text


async def test_a_long_prompt_holds_nobody_up(server: Server) -> None:
    words = [{"role": "user", "content": "let's think " * 150_000}]
    async with httpx.AsyncClient(base_url=server.base_url, timeout=LIMIT_SECONDS) as client:
        long = asyncio.create_task(client.post(CHAT, json=body(messages=words)))
        assert await _slowest_health(server, [long]) < LIMIT_SECONDS / 4
        assert (await long).status_code == 400
