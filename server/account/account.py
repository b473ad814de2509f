"""The account of one HTTP request: its caller, its usage, and what is released at its end.

Opened when the request arrives and settled when it ends, however it ends. Logs, spans and quotas
read it; it knows none of them.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from server.choice.outcome import ChoiceOutcome
from server.keys.key import ANONYMOUS, AccessKey
from server.metrics import Metrics
from thinking.receipt import Receipt
from thinking.turn import TurnShare

# Requested every few seconds by monitoring: neither logged nor traced, but counted in the metrics.
PROBE_ENDPOINTS = ("/health", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(slots=True)
class TokenUse:
    """Tokens of one request, over all its choices; `reasoning` are the hidden ones.

    `cached` are those of `prompt` that the engine had in its prefix cache before the request.
    """

    prompt: int = 0
    cached: int = 0
    reasoning: int = 0
    answer: int = 0

    @property
    def total(self) -> int:
        """The number of all tokens."""
        return self.prompt + self.reasoning + self.answer


@dataclass(slots=True)
class RequestAccount:
    """The account of one request.

    `at_end` is closed once, by `settle`, when all who hold the account have released it: the
    response, when it has been sent or given up, and a reply that goes on without its client.
    `receipts` are those of the choices that were started. `error_code` is that of the error that
    answered the request or ended its stream. `headers` are added to the response.
    `first_answer_seconds` is the time until the first answer token of any choice.
    `trace_context` has the caller's W3C headers. `speaks_anthropic` is true if the client reads
    Anthropic's shapes. `ignored_fields` are paths in its body that were not used.
    `turn` is its share of the budget of a turn, `extend_turn` reserves more of that and returns how
    much, and `settle_turn` settles it before the account is closed; None: it names none.
    """

    request_id: str
    metrics: Metrics
    method: str = ""
    speaks_anthropic: bool = False
    key: AccessKey = ANONYMOUS
    started: float = field(default_factory=time.monotonic)
    endpoint: str = "unknown"
    model_name: str | None = None  # None: no model was chosen
    status: int | None = None
    error_code: str | None = None
    client_left: bool = False
    first_answer_seconds: float | None = None
    used: TokenUse = field(default_factory=TokenUse)
    receipts: list[Receipt] = field(default_factory=list)
    trace_context: Mapping[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    ignored_fields: list[str] = field(default_factory=list)
    turn: TurnShare | None = None
    extend_turn: Callable[[int], Coroutine[Any, Any, int]] | None = None
    settle_turn: Callable[[], Coroutine[Any, Any, None]] | None = None
    # Part of `used.reasoning` that was reserved, and is settled, apart from the rest.
    extended_reasoning: int = 0
    at_end: AsyncExitStack = field(default_factory=AsyncExitStack)
    settle: Callable[[], Awaitable[None]] | None = None
    num_holders: int = 1

    @property
    def known_method(self) -> str:
        """The HTTP method, or "other": a client may send any word as a method."""
        return self.method if self.method in _METHODS else "other"

    @property
    def seconds(self) -> float:
        """Seconds since the account was opened."""
        return time.monotonic() - self.started

    @property
    def outlives_response(self) -> bool:
        """True if the request goes on, whether or not its client stays."""
        return self.num_holders > 1

    def hold(self) -> None:
        """Keep the account open until one more :meth:`release`."""
        self.num_holders += 1

    async def release(self) -> None:
        """Release the account; the last release settles it."""
        self.num_holders -= 1
        if self.num_holders == 0 and self.settle is not None:
            await self.settle()

    def observe_start(self, num_prompt_tokens: int) -> None:
        """Count a prompt that goes to the engine."""
        self.used.prompt += num_prompt_tokens
        self.metrics.observe_start(num_prompt_tokens)

    def observe_cached(self, num_tokens: int) -> None:
        """Count the tokens of a prompt that were cached."""
        self.used.cached += num_tokens
        self.metrics.observe_cached(num_tokens)

    def observe_choice(self, outcome: ChoiceOutcome) -> None:
        """Count a choice that has ended or was cancelled."""
        self.metrics.observe_choice(outcome)
        self.receipts.append(outcome.receipt)
        self.used.reasoning += outcome.receipt.used
        self.used.answer += outcome.num_answer
        if outcome.first_answer_token is not None:
            seconds = outcome.first_answer_token - self.started
            self.first_answer_seconds = min(seconds, self.first_answer_seconds or seconds)

    def observe_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Count tokens that were generated for something other than a choice."""
        self.used.reasoning += reasoning
        self.used.answer += answer
        self.metrics.observe_tokens(reasoning=reasoning, answer=answer, injected=injected)


def get_account(request: Request) -> RequestAccount:
    """Return the account of `request`, which the middleware has opened."""
    account = request.state.account
    assert isinstance(account, RequestAccount)
    return account
