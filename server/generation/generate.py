"""Runs all choices of a request in the engine.

Each choice is a separate engine request with a separate receipt. A choice that fails takes the
others with it; a reader that stops early aborts them all. Knows nothing of HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from server.account.account import RequestAccount
from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.choice.outcome import ChoiceOutcome
from server.engine.gathering import UNWATCHED_SECONDS, WATCHED_SECONDS, Gathering
from server.engine.protocol import EngineOutput, EngineRequest, InterruptedRequestError
from server.errors.internal import AbortedError
from server.generation.governing import ChoiceGovernor
from server.generation.job import GenerationJob
from server.generation.merging import merge_deltas
from server.generation.search.moments import Moments
from server.generation.search.searched_choice import search_choice
from server.model.served_model import ServedModel

# Called with the index of each choice and what it has used, when all have ended.
OutcomeObserver = Callable[[int, ChoiceOutcome], None]


async def generate(
    model: ServedModel,
    job: GenerationJob,
    account: RequestAccount,
    note_outcome: OutcomeObserver | None = None,
    governors: Sequence[ChoiceGovernor] | None = None,
) -> AsyncGenerator[ChoiceDelta, None]:
    """Stream the deltas of all choices; the last delta of each has its result.

    Deltas that are ready together are joined. Closing the generator aborts. `governors` take the
    orders to the choices, one each; None: nobody gives any.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
        SearchError: the reward model gave no scores.
    """
    settings = _make_decoding_settings(model, job, account)
    decoders = [ChoiceDecoder(index, settings) for index in range(job.num_choices)]
    governors = governors or create_governors(model, job)
    account.observe_start(len(job.prompt.token_ids))
    try:
        choices = [
            _generate_choice(model, job, decoder, governor)
            for decoder, governor in zip(decoders, governors, strict=True)
        ]
        async with aclosing(merge_deltas(choices)) as deltas:
            async for delta in deltas:
                yield delta
    finally:
        outcomes = [decoder.outcome() for decoder in decoders]
        for index, outcome in enumerate(outcomes):
            account.observe_choice(outcome)
            if note_outcome is not None:
                note_outcome(index, outcome)
        if job.sealing is not None:
            job.sealing.keep([outcome.receipt for outcome in outcomes])
        account.observe_cached(min(outcome.num_cached for outcome in outcomes))


def create_governors(model: ServedModel, job: GenerationJob) -> Sequence[ChoiceGovernor]:
    """Create the governor of each choice of `job`."""
    return tuple(ChoiceGovernor(model, job, index) for index in range(job.num_choices))


async def _generate_choice(
    model: ServedModel, job: GenerationJob, decoder: ChoiceDecoder, governor: ChoiceGovernor
) -> AsyncGenerator[ChoiceDelta, None]:
    """Generate and decode one choice. Each output is decoded before the next one is read."""
    request: EngineRequest | None = None
    seconds = job.max_thinking_seconds
    written: Sequence[int] = ()
    moments = _create_moments(job, decoder)
    try:
        with governor.attend(decoder):
            begin = _begin_choice(model, job, governor, moments)
            if moments is None:
                request, output = await begin
            else:
                search = asyncio.create_task(begin)
                async with aclosing(moments.until(search)) as ticks:
                    async for _ in ticks:
                        yield decoder.push(EngineOutput(()))
                request, output = await search
            while True:
                delta = decoder.push(output)
                if decoder.result is None:
                    request = governor.apply(request, written, delta)
                if not delta.is_empty:
                    yield delta
                if decoder.result is not None:
                    return
                try:
                    # Leaving early, at a stop string, closes the outputs, which aborts.
                    async with aclosing(governor.open(request)) as outputs:
                        async for output in outputs:
                            delta = decoder.push(output)
                            if not delta.is_empty:
                                yield delta
                            if decoder.result is not None:
                                return
                            if seconds is not None and decoder.has_thought_for(seconds):
                                seconds = None
                                await governor.end_in_time()
                    raise AbortedError("the engine ended without a finish reason")
                except InterruptedRequestError as interruption:
                    output, written = governor.take(interruption)
    finally:
        unread = () if request is None else model.engine.take_unread(request.request_id)
        if unread and decoder.result is None:
            decoder.push(EngineOutput(unread))


def _choose_gathering(model: ServedModel, job: GenerationJob) -> Gathering | None:
    """Return how hidden tokens wait for each other; None where each is needed at once."""
    if (
        job.shows_thought
        or not job.prompt.plan.opens
        # The end marker may have begun in the earlier part of the thought.
        or (job.prompt.num_continued and len(model.engine.profile.end_token_ids) > 1)
        or job.search is not None
        or job.max_thinking_seconds is not None  # read off the clock when a token comes
        or job.sampling.num_logprobs is not None
    ):
        return None
    profile = model.engine.profile
    until = (profile.end_token_ids, *((call,) for call in profile.tool_call_token_ids))
    return Gathering(until, WATCHED_SECONDS if job.reports_progress else UNWATCHED_SECONDS)


def _create_moments(job: GenerationJob, decoder: ChoiceDecoder) -> Moments | None:
    """Create the moments at which a search reports its progress; None: it need not."""
    if job.search is None or not job.reports_progress:
        return None
    return Moments(lambda: decoder.is_progress_due)


async def _begin_choice(
    model: ServedModel, job: GenerationJob, governor: ChoiceGovernor, moments: Moments | None
) -> tuple[EngineRequest, EngineOutput]:
    """Return a choice's first engine request, and the tokens that a search has found before."""
    if job.search is not None:
        return await search_choice(model, job, job.search, governor, moments)
    index = governor.index
    request = EngineRequest(
        request_id=f"{job.request_id}-{index}",
        prompt_token_ids=job.prompt.token_ids,
        sampling=job.sampling.with_seed_offset(index),
        plan=job.prompt.plan,
        constraint=job.constraint,
        images=job.prompt.images,
        gathering=_choose_gathering(model, job),
    )
    return request, EngineOutput(())


def _make_decoding_settings(
    model: ServedModel, job: GenerationJob, account: RequestAccount
) -> DecodingSettings:
    return DecodingSettings(
        tables=model.tables,
        tokenizer=model.engine.tokenizer,
        prompt=job.prompt,
        stops=job.stops,
        filtered_markers=model.filtered_markers,
        keeps_thought=job.shows_thought,
        create_tool_reader=job.create_tool_reader,
        call_token_ids=model.call_token_ids,
        answer_end=job.answer_end,
        reports_progress=job.reports_progress,
        clock=model.clock,
        turn=account.turn,
        seal_thought=None if job.sealing is None else job.sealing.seal,
    )
