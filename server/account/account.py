"""What one HTTP request may use and has used: one account each, settled at its end.

Who holds the key, what was generated for it, and what has to be given back when it ends,
however that comes. Log, trace and quotas read it; it knows none of them.
"""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from fastapi import Request

from server.choice.decoder import ChoiceDecoder
from server.keys.key import ANONYMOUS, AccessKey
from server.metrics import Metrics
from thinking.receipt import Receipt

# Asked every few seconds by whoever watches the server: neither logged nor traced. The metrics
# count them.
PROBE_ENDPOINTS = ("/health", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(slots=True)
class TokenUse:
    """Tokens of one request, over all its choices; `reasoning` are the hidden ones."""

    prompt: int = 0
    reasoning: int = 0
    answer: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt + self.reasoning + self.answer


@dataclass(slots=True)
class RequestAccount:
    """One request's account. `at_end` is closed once, when the response has been sent or given up.

    `receipts` has those of the choices that were begun. `error_code`: of the error that
    answered it, or that ended its stream. `headers` are put on its response.
    `first_answer_seconds`: until the first answer token of any choice. `trace_context` has the
    caller's W3C headers. `speaks_anthropic`: its client reads Anthropic's shapes.
    """

    request_id: str
    metrics: Metrics
    method: str = ""
    speaks_anthropic: bool = False
    key: AccessKey = ANONYMOUS
    started: float = field(default_factory=time.monotonic)
    endpoint: str = "unknown"
    status: int | None = None
    error_code: str | None = None
    client_left: bool = False
    first_answer_seconds: float | None = None
    used: TokenUse = field(default_factory=TokenUse)
    receipts: list[Receipt] = field(default_factory=list)
    trace_context: Mapping[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    at_end: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def known_method(self) -> str:
        """The method, where it is one: a client may send any word for it."""
        return self.method if self.method in _METHODS else "other"

    @property
    def seconds(self) -> float:
        """Since it was opened."""
        return time.monotonic() - self.started

    def observe_start(self, num_prompt_tokens: int) -> None:
        """A prompt goes to the engine."""
        self.used.prompt += num_prompt_tokens
        self.metrics.observe_start(num_prompt_tokens)

    def observe_choice(self, decoder: ChoiceDecoder) -> None:
        """A choice has ended, or its client has left."""
        receipt = self.metrics.observe_choice(decoder)
        self.receipts.append(receipt)
        self.used.reasoning += receipt.used
        self.used.answer += decoder.tracker.num_answer
        if decoder.times.first_answer_token is not None:
            seconds = decoder.times.first_answer_token - self.started
            self.first_answer_seconds = min(seconds, self.first_answer_seconds or seconds)

    def observe_tokens(self, *, reasoning: int, answer: int, injected: int) -> None:
        """Tokens that were generated for something else than a choice."""
        self.used.reasoning += reasoning
        self.used.answer += answer
        self.metrics.observe_tokens(reasoning=reasoning, answer=answer, injected=injected)


def account_of(request: Request) -> RequestAccount:
    """The account of `request`, which the middleware has opened."""
    account = request.state.account
    assert isinstance(account, RequestAccount)
    return account
