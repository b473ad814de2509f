"""One choice that is searched for: the strategy's branches, then the chosen one to its end.

To whoever reads the deltas it is a choice like any other: nothing comes while branches are
written, then the answer, streamed as far as it was not written yet. What the other
branches took is in the receipt. Does not know how a branch is chosen.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from server.choice.decoder import ChoiceDecoder
from server.choice.delta import ChoiceDelta
from server.engine.protocol import EngineOutput, EngineRequest
from server.errors.internal import AbortedError, ScorerError, SearchError
from server.generation.job import GenerationJob
from server.generation.search.branch_scorer import scorer_for
from server.generation.search.branch_writer import EngineBranchWriter, WrittenBranch
from server.model.served_model import ServedModel
from thinking.plan import ThinkingPlan
from thinking.receipt import BranchTally


async def search_choice(
    model: ServedModel, job: GenerationJob, decoder: ChoiceDecoder
) -> AsyncGenerator[ChoiceDelta, None]:
    """The deltas of one choice; the last has its result. Closing the generator aborts.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
        SearchError: the reward model gave no scores.
    """
    writer = EngineBranchWriter(model, job, decoder.index)
    winner = await _found(model, job, decoder, writer)
    if job.constraint is not None and winner.num_answer and winner.finish_reason is None:
        # Its grammar cannot go on in the middle: the thought is kept, the answer written anew.
        winner = winner.without_answer()
    plan = _last_plan(job, writer, winner)
    decoder.adopt(plan, _tally(job, writer, winner))
    delta = decoder.push(_as_output(job, winner))
    if not delta.is_empty:
        yield delta
    if decoder.result is not None:
        return
    request = _last_request(job, writer, winner, plan)
    async with aclosing(model.engine.generate(request)) as outputs:
        async for output in outputs:
            if output.finish_reason == "abort":
                raise AbortedError("aborted by the engine")
            delta = decoder.push(_shown(job, output))
            if not delta.is_empty:
                yield delta
            if decoder.result is not None:
                return
    raise AbortedError("the engine ended without a finish reason")


async def _found(
    model: ServedModel, job: GenerationJob, decoder: ChoiceDecoder, writer: EngineBranchWriter
) -> WrittenBranch:
    """Search; whatever happens, the decoder knows what was spent."""
    assert job.search is not None
    strategy = job.search.strategy
    begin = time.monotonic()
    winner = writer.root
    try:
        branch = await strategy.search(writer, scorer_for(model, job, writer))
        assert isinstance(branch, WrittenBranch)  # the writer makes no others
        winner = branch
    except ScorerError as error:
        raise SearchError(strategy.name, str(error), writer.pool.spent) from error
    except ExceptionGroup as group:  # branches fail together, for one reason
        raise group.exceptions[0] from group
    finally:
        decoder.elsewhere = _tally(job, writer, winner)
        decoder.times.thinking_seconds += time.monotonic() - begin
    return winner


def _tally(job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch) -> BranchTally:
    """What was written beside the branch that is chosen."""
    assert job.search is not None
    return BranchTally(
        strategy=job.search.strategy.name,
        num_branches=writer.num_branches,
        num_hidden=writer.pool.spent - len(winner.token_ids),
        num_injected=writer.num_injected - winner.num_injected,
    )


def _last_plan(
    job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch
) -> ThinkingPlan:
    """The plan under which the winner is written to its end.

    One that still thinks may use what the search has left of the budget. Grace was not in
    the branches' plan, as it would end their thoughts at a place of another budget.
    """
    plan = job.prompt.plan
    if not winner.is_thinking:
        return plan
    most = max(winner.num_hidden, job.prompt.thought_room)
    return replace(plan, budget=min(winner.num_hidden + writer.pool.left, most))


def _last_request(
    job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch, plan: ThinkingPlan
) -> EngineRequest:
    num_hidden_elsewhere = writer.pool.spent - len(winner.token_ids)
    left = job.prompt.budget.max_tokens - num_hidden_elsewhere - len(winner.token_ids)
    room = job.prompt.context_left - len(winner.token_ids)
    request_id = writer.next_request_id()
    sampling = writer.sampling(min(left, room))
    return EngineRequest(
        request_id=request_id,
        prompt_token_ids=[*job.prompt.token_ids, *winner.token_ids],
        sampling=replace(sampling, num_logprobs=job.sampling.num_logprobs),
        plan=replace(plan, prior_token_ids=winner.token_ids),
        constraint=job.constraint,
        images=job.prompt.images,
    )


def _as_output(job: GenerationJob, winner: WrittenBranch) -> EngineOutput:
    """The winner's tokens, as if the engine had written them at once."""
    return _shown(job, EngineOutput(winner.token_ids, winner.entries, winner.finish_reason))


def _shown(job: GenerationJob, output: EngineOutput) -> EngineOutput:
    """Log-probabilities only where the client asked for them."""
    return output if job.sampling.num_logprobs is not None else replace(output, logprobs=None)
