"""Continuation of a choice that was interrupted in the engine: its next request, cut outputs.

Knows neither who interrupted it nor why.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from server.engine.protocol import EngineOutput, EngineRequest, InterruptedRequestError
from thinking.command import ThoughtCommand
from thinking.tracker import ThinkingTracker

# Keeps the random numbers of a continuation apart from those that its beginning was drawn with,
# and its seed from those of other choices and branches.
SEED_STRIDE = 104_729


@dataclass(slots=True)
class Continuation:
    """A request with what it has written, and the commands that follow."""

    request: EngineRequest
    written: list[int]
    commands: list[ThoughtCommand] = field(default_factory=list)
    num_reply_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Number of tokens of the whole reply so far."""
        return len(self.request.plan.prior_token_ids) + len(self.written)

    @property
    def last_token_id(self) -> int | None:
        """The reply's last token; None if it has none."""
        written = self.written or self.request.plan.prior_token_ids[-1:]
        return written[-1] if written else None

    def to_request(self, request_id: str) -> EngineRequest:
        """Return the request that continues the reply, as its commands say."""
        request, plan = self.request, self.request.plan
        left = request.sampling.max_tokens - len(self.written) + self.num_reply_tokens
        sampling = request.sampling.with_seed_offset(SEED_STRIDE)
        return replace(
            request,
            request_id=request_id,
            prompt_token_ids=[*request.prompt_token_ids, *self.written],
            sampling=replace(sampling, max_tokens=left),
            plan=replace(
                plan,
                prior_token_ids=(*plan.prior_token_ids, *self.written),
                commands=(*plan.commands, *self.commands),
            ),
        )


async def interrupt_at_once() -> AsyncGenerator[EngineOutput, None]:
    """Yield nothing: the request is not sent to the engine."""
    raise InterruptedRequestError(EngineOutput(()), ())
    yield EngineOutput(())  # makes this a generator


def find_line_end(
    tracker: ThinkingTracker, token_ids: Sequence[int], line_token_ids: frozenset[int]
) -> int | None:
    """Return the number of tokens up to the end of the first line of thought; None: there is none.

    `tracker` reads the tokens.
    """
    for place, token_id in enumerate(token_ids, 1):
        tracker.advance(token_id)
        if tracker.is_thinking and token_id in line_token_ids:
            return place
    return None


def cut_output(output: EngineOutput, num_tokens: int) -> EngineOutput:
    """Return the first `num_tokens` tokens of an output."""
    logprobs = None if output.logprobs is None else output.logprobs[:num_tokens]
    return replace(output, token_ids=output.token_ids[:num_tokens], logprobs=logprobs)
