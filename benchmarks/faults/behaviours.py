"""Good and bad clients: each sends one request and returns its outcome.

Chosen by a seeded generator, so that a run can be repeated. Knows the wire format only.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.faults.outcome import Outcome, Tally

PATH = "/v1/chat/completions"
REFUSALS = (429, 503)
TIMEOUT = httpx.Timeout(120.0, connect=10.0)
SLOW_READER_SECONDS = 0.3  # between two events
SLOW_READER_EVENTS = 60  # after these it reads at full speed
BAD_BODIES: tuple[bytes, ...] = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[1, 2, 3]",
    b'{"model": "thinker"}',
    b'{"model": "thinker", "messages": [], "max_thinking_tokens": -7}',
    b'{"model": "thinker", "messages": "hello"}',
    b'{"model": "no such model", "messages": [{"role": "user", "content": "1 + 1"}]}',
    b'{"messages": ' + b"[" * 5_000,
)


class LawError(Exception):
    """Reply that breaks a law of the budget."""


@dataclass(frozen=True, slots=True)
class Client:
    """Context that all behaviours share."""

    http: httpx.AsyncClient
    model: str
    dice: random.Random
    tally: Tally

    def make_body(self, *, stream: bool) -> dict[str, Any]:
        """Return a good body with a random budget."""
        terms = [str(self.dice.randint(1, 9)) for _ in range(self.dice.randint(3, 10))]
        question = terms[0] + "".join(f" {self.dice.choice('+-*')} {term}" for term in terms[1:])
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_thinking_tokens": self.dice.choice((0, 8, 32, 128)),
            "max_completion_tokens": 256,
            "stream": stream,
        }


Behaviour = Callable[[Client], Awaitable[tuple[Outcome, str]]]


async def wait_for_reply(client: Client) -> tuple[Outcome, str]:
    """Wait for the complete reply."""
    response = await client.http.post(PATH, json=client.make_body(stream=False))
    if response.status_code != 200:
        return _classify_refusal(response)
    reply = response.json()
    _check(client.tally, reply["choices"][0]["thinking"], reply["usage"])
    return Outcome.FINISHED, ""


async def stream_reply(client: Client, *, pause: float = 0.0) -> tuple[Outcome, str]:
    """Read a stream to its end, pausing `pause` seconds between its first events."""
    body = client.make_body(stream=True) | {"stream_options": {"include_usage": True}}
    receipt: Mapping[str, Any] | None = None
    started, num_events = time.monotonic(), 0
    async with client.http.stream("POST", PATH, json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return _classify_refusal(response)
        async with aclosing(_iterate_events(response)) as events:
            async for data in events:
                if data == "[DONE]":
                    return Outcome.FINISHED, ""
                event = json.loads(data)
                if "error" in event:
                    return Outcome.FAILED, str(event["error"].get("code"))
                if not num_events:
                    client.tally.first_token_seconds.append(time.monotonic() - started)
                num_events += 1
                for choice in event["choices"]:
                    receipt = choice.get("thinking") or receipt
                if (usage := event.get("usage")) and receipt:
                    _check(client.tally, receipt, usage)
                if pause and num_events < SLOW_READER_EVENTS:
                    await asyncio.sleep(pause)
    return Outcome.LOST, f"the stream ended after {num_events} events without [DONE]"


async def read_slowly(client: Client) -> tuple[Outcome, str]:
    """Read a stream slowly."""
    return await stream_reply(client, pause=SLOW_READER_SECONDS)


async def hang_up(client: Client) -> tuple[Outcome, str]:
    """Hang up after a few events, or before the first."""
    patience = client.dice.randint(0, 12)
    async with client.http.stream("POST", PATH, json=client.make_body(stream=True)) as response:
        if response.status_code != 200:
            await response.aread()
            return _classify_refusal(response)
        async with aclosing(_iterate_events(response)) as events:
            async for data in events:
                if data == "[DONE]":
                    return Outcome.FINISHED, ""
                if "error" in json.loads(data):
                    return Outcome.FAILED, ""
                if not patience:
                    break
                patience -= 1
    return Outcome.DISCONNECTED, ""


async def give_up_waiting(client: Client) -> tuple[Outcome, str]:
    """Give up waiting for a complete reply."""
    waiting = asyncio.create_task(wait_for_reply(client))
    done, _ = await asyncio.wait({waiting}, timeout=client.dice.uniform(0.05, 1.0))
    if done:
        return waiting.result()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return Outcome.DISCONNECTED, ""


async def submit_bad_body(client: Client) -> tuple[Outcome, str]:
    """Send a bad body."""
    headers = {"content-type": "application/json"}
    body = client.dice.choice(BAD_BODIES)
    response = await client.http.post(PATH, content=body, headers=headers)
    if response.status_code in REFUSALS:
        return _classify_refusal(response)
    is_right = 400 <= response.status_code < 500 and "error" in response.json()
    return (
        Outcome.REJECTED if is_right else Outcome.WRONG
    ), f"{response.status_code} for a bad body"


# Number of clients in a hundred, by behaviour.
CROWD: Mapping[Behaviour, int] = {
    stream_reply: 50,
    wait_for_reply: 15,
    hang_up: 15,
    give_up_waiting: 5,
    read_slowly: 10,
    submit_bad_body: 5,
}


async def send_request(client: Client) -> Outcome:
    """Send one request with a random behaviour; count its outcome and return it."""
    behaviour = client.dice.choices(list(CROWD), list(CROWD.values()))[0]
    try:
        outcome, detail = await behaviour(client)
    except httpx.ConnectError:
        outcome, detail = Outcome.UNREACHABLE, ""
    except httpx.TransportError as error:
        outcome, detail = Outcome.LOST, type(error).__name__
    except LawError as error:
        outcome, detail = Outcome.WRONG, str(error)
    client.tally.add(behaviour.__name__, outcome, detail)
    return outcome


def _classify_refusal(response: httpx.Response) -> tuple[Outcome, str]:
    error = response.json().get("error", {})
    if response.status_code in REFUSALS and error.get("code") in ("engine_dead", "engine_error"):
        return Outcome.FAILED, str(error["code"])
    if response.status_code in REFUSALS and "retry-after" in response.headers:
        return Outcome.REFUSED, ""
    return Outcome.WRONG, f"{response.status_code} {error.get('code')}"


def _check(tally: Tally, receipt: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
    """Check laws 1 and 2 from outside."""
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    if receipt["used"] != reasoning:
        raise LawError(f"receipt {receipt['used']}, usage {reasoning}")
    if reasoning > receipt["budget"]:
        raise LawError(f"{reasoning} tokens thought, budget {receipt['budget']}")
    if usage["completion_tokens"] <= reasoning:
        raise LawError("no answer")
    tally.num_reasoning_tokens += reasoning
    tally.num_answer_tokens += usage["completion_tokens"] - reasoning


async def _iterate_events(response: httpx.Response) -> AsyncGenerator[str, None]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
