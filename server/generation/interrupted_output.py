"""Outputs of a choice that is interrupted: where they are cut. Does not know who interrupts."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from server.engine.protocol import EngineOutput, InterruptedRequestError
from thinking.tracker import ThinkingTracker


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
