"""The time limit of a choice's thoughts: when it is up, they are closed and the answer begins.

The automaton in the engine's workers knows token ids only and has no clock: workers that must
decide alike must see alike. So the choice is aborted in the engine and continued by another
request, whose prompt ends with the tokens so far and whose plan says that thinking is over. The
prefix cache knows that prompt. The clock is read when tokens arrive, never in between.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from server.choice.decoder import ChoiceDecoder
from server.engine.protocol import Engine, EngineOutput, EngineRequest


async def limit_thinking_time(
    engine: Engine, request: EngineRequest, decoder: ChoiceDecoder, seconds: float
) -> AsyncGenerator[EngineOutput, None]:
    """Stream one choice whose thoughts may take `seconds` altogether.

    The reader pushes each output to `decoder` before it asks for the next.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
    """
    written: list[int] = []
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            yield output
            written += output.token_ids
            if decoder.has_thought_for(seconds):
                break
        else:
            return
    decoder.end_thinking()
    async with aclosing(engine.generate(_continue_without_thinking(request, written))) as outputs:
        async for output in outputs:
            yield output


def _continue_without_thinking(request: EngineRequest, written: Sequence[int]) -> EngineRequest:
    """Return a request that continues `request` after `written`, with its thought closed."""
    left = request.sampling.max_tokens - len(written)
    return replace(
        request,
        request_id=f"{request.request_id}-closing",
        prompt_token_ids=[*request.prompt_token_ids, *written],
        sampling=replace(request.sampling, max_tokens=left),
        plan=replace(request.plan, prior_token_ids=tuple(written), time_is_up=True),
    )
