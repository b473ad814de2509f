"""The time of a choice's thoughts: when it is up, they are closed, and the answer begins.

The automaton in the engine's workers knows token ids only, and no clock: workers that decide
alike must see alike. So the choice is given up in the engine, and goes on as another request,
whose prompt ends with the tokens so far and whose plan says that no more is thought. The prefix
cache knows that prompt. Looks at the clock when tokens come, never in between.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from server.choice.decoder import ChoiceDecoder
from server.engine.protocol import Engine, EngineOutput, EngineRequest
from server.generation.job import GenerationJob


async def timed_outputs(
    engine: Engine, request: EngineRequest, decoder: ChoiceDecoder, job: GenerationJob
) -> AsyncGenerator[EngineOutput, None]:
    """The outputs of one choice, each of which `decoder` takes before it asks for the next.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
    """
    seconds = job.max_thinking_seconds
    written: list[int] = []
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            yield output
            if seconds is None:
                continue
            written += output.token_ids
            if decoder.has_thought_for(seconds):
                break
        else:
            return
    decoder.tracker.end_thinking()
    async with aclosing(engine.generate(_closing(request, written))) as outputs:
        async for output in outputs:
            yield output


def _closing(request: EngineRequest, written: Sequence[int]) -> EngineRequest:
    """`request` from after `written` on, with its thought closed."""
    left = request.sampling.max_tokens - len(written)
    return replace(
        request,
        request_id=f"{request.request_id}-closing",
        prompt_token_ids=[*request.prompt_token_ids, *written],
        sampling=replace(request.sampling, max_tokens=left),
        plan=replace(request.plan, prior_token_ids=tuple(written), time_is_up=True),
    )
