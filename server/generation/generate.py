"""Running a request's choices in the engine, together.

Each choice is an engine request of its own with its own receipt. One that fails takes
the others with it; whoever stops reading aborts them all. Knows nothing of HTTP.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from server.account.account import RequestAccount
from server.choice.decoder import ChoiceDecoder
from server.choice.delta import ChoiceDelta
from server.engine.protocol import EngineRequest
from server.errors.internal import AbortedError
from server.generation.job import SEED_MASK, GenerationJob
from server.generation.merging import merged
from server.generation.search.searched_choice import search_choice
from server.generation.thinking_time import timed_outputs
from server.model.served_model import ServedModel


async def generate(
    model: ServedModel, job: GenerationJob, account: RequestAccount
) -> AsyncGenerator[ChoiceDelta, None]:
    """Stream the deltas of all choices; the last of each carries its result.

    Deltas that are ready together come as one. Closing the generator aborts.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
    """
    decoders = [_decoder(model, job, index) for index in range(job.num_choices)]
    account.observe_start(len(job.prompt.token_ids))
    try:
        choices = [_run_choice(model, job, decoder) for decoder in decoders]
        async with aclosing(merged(choices)) as deltas:
            async for delta in deltas:
                yield delta
    finally:
        for decoder in decoders:
            account.observe_choice(decoder)


def _decoder(model: ServedModel, job: GenerationJob, index: int) -> ChoiceDecoder:
    return ChoiceDecoder(
        index,
        model.tables,
        model.engine.tokenizer,
        job.prompt,
        stops=job.stops,
        marker_texts=model.text_markers,
        shows_thought=job.shows_thought,
        tool_calls=job.new_tool_reader() if job.new_tool_reader else None,
        call_token_ids=model.call_token_ids,
        answer_end=job.answer_end,
        clock=model.clock,
    )


async def _run_choice(
    model: ServedModel, job: GenerationJob, decoder: ChoiceDecoder
) -> AsyncGenerator[ChoiceDelta, None]:
    """One choice; the engine itself joins outputs that are ready together."""
    if job.search is not None:
        async with aclosing(search_choice(model, job, decoder)) as searched:
            async for delta in searched:
                yield delta
        return
    outputs = timed_outputs(model.engine, _engine_request(job, decoder.index), decoder, job)
    # Leaving early, at a stop string, closes the generator, which aborts in the engine.
    async with aclosing(outputs):
        async for output in outputs:
            if output.finish_reason == "abort":
                raise AbortedError("aborted by the engine")
            delta = decoder.push(output)
            if not delta.is_empty:
                yield delta
            if decoder.result is not None:
                return
    raise AbortedError("the engine ended without a finish reason")


def _engine_request(job: GenerationJob, index: int) -> EngineRequest:
    sampling = job.sampling
    if sampling.seed is not None:
        sampling = replace(sampling, seed=(sampling.seed + index) & SEED_MASK)
    return EngineRequest(
        request_id=f"{job.request_id}-{index}",
        prompt_token_ids=job.prompt.token_ids,
        sampling=sampling,
        plan=job.prompt.plan,
        constraint=job.constraint,
        images=job.prompt.images,
    )
