"""Running a request's choices in the engine, together.

Each choice is an engine request of its own with its own receipt. One that fails takes
the others with it; whoever stops reading aborts them all. Knows nothing of HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from server.choice import ChoiceDecoder, ChoiceDelta
from server.engine.protocol import AbortedError, EngineRequest
from server.generation_job import SEED_MASK, GenerationJob
from server.metrics import Metrics
from server.search.searched_choice import search_choice
from server.served_model import ServedModel


async def generate(
    model: ServedModel, job: GenerationJob, metrics: Metrics
) -> AsyncGenerator[ChoiceDelta, None]:
    """Stream the deltas of all choices; the last of each carries its result.

    Deltas that are ready together come as one. Closing the generator aborts.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
    """
    decoders = [_decoder(model, job, index) for index in range(job.num_choices)]
    metrics.observe_start(len(job.prompt.token_ids))
    try:
        if job.num_choices == 1:
            deltas = _run_choice(model, job, decoders[0])
        else:
            deltas = _run_choices(model, job, decoders)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta
    finally:
        for decoder in decoders:
            metrics.observe_choice(decoder)


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
    outputs = model.engine.generate(_engine_request(job, decoder.index))
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


async def _run_choices(
    model: ServedModel, job: GenerationJob, decoders: Sequence[ChoiceDecoder]
) -> AsyncGenerator[ChoiceDelta, None]:
    """All choices at once, merged as they come."""
    queue: asyncio.Queue[ChoiceDelta | BaseException] = asyncio.Queue()

    async def run(decoder: ChoiceDecoder) -> None:
        deltas = _run_choice(model, job, decoder)
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    queue.put_nowait(delta)
        except Exception as error:
            queue.put_nowait(error)  # raised again by the reader

    tasks = [asyncio.create_task(run(decoder)) for decoder in decoders]
    num_open = len(tasks)
    try:
        while num_open:
            for delta in await _drain(queue):
                num_open -= delta.result is not None
                yield delta
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(queue: "asyncio.Queue[ChoiceDelta | BaseException]") -> list[ChoiceDelta]:
    """Wait for something, then take all there is, joined by choice."""
    joined: dict[int, ChoiceDelta] = {}
    item = await queue.get()
    while True:
        if isinstance(item, BaseException):
            raise item
        if item.index in joined:
            joined[item.index].add(item)
        else:
            joined[item.index] = item
        if queue.empty():
            return list(joined.values())
        item = queue.get_nowait()


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
