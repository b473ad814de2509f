"""A choice found by search: the strategy's branches, then the chosen one to its end.

To a reader of its outputs it is a choice like any other: nothing arrives while branches are
written (where progress is reported, outputs without tokens), then the chosen branch at once, then
the rest as it is generated. The receipt counts the tokens of the other branches. Does not know how
a branch is chosen.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from server.choice.decoder import ChoiceDecoder
from server.engine.protocol import EngineOutput, EngineRequest
from server.errors.internal import ScorerError, SearchError
from server.generation.job import GenerationJob, SearchJob
from server.generation.search.branch_scorer import make_scorer
from server.generation.search.branch_writer import EngineBranchWriter, WrittenBranch
from server.generation.search.moments import Moments
from server.model.served_model import ServedModel
from thinking.plan import ThinkingPlan
from thinking.receipt import BranchTally
from thinking.strategies.protocol import SearchLimit


async def search_outputs(
    model: ServedModel, job: GenerationJob, search: SearchJob, decoder: ChoiceDecoder
) -> AsyncGenerator[EngineOutput, None]:
    """Search for a choice; stream the chosen branch and what follows it.

    The reader pushes each output to `decoder` and closes the generator once that has a result;
    closing aborts.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
        SearchError: the reward model gave no scores.
    """
    moments = Moments(lambda: decoder.is_progress_due) if job.reports_progress else None
    writer = EngineBranchWriter(model, job, decoder.index, moments.note if moments else None)
    begin = time.monotonic()
    searching = _search(job, search, decoder, writer, begin)
    if moments is None:
        winner, tally = await searching
    else:
        task = asyncio.create_task(searching)
        async with aclosing(moments.until(task)) as ticks:
            async for _ in ticks:
                decoder.note_searching(writer.num_hidden, time.monotonic() - begin)
                yield EngineOutput(())
        winner, tally = await task
    if job.constraint is not None and winner.num_answer and winner.finish_reason is None:
        # Its grammar cannot start in the middle: keep the thought, write the answer anew.
        winner = winner.without_answer()
    plan = _make_final_plan(job, writer, winner)
    decoder.adopt_branch(plan, _without_winner(tally, writer, winner))
    entries = winner.entries if job.sampling.num_logprobs is not None else None
    yield EngineOutput(
        winner.token_ids, entries, winner.finish_reason, num_cached_tokens=writer.num_cached
    )
    request = _make_final_request(job, writer, winner, plan)
    async with aclosing(model.engine.generate(request)) as outputs:
        async for output in outputs:
            yield output


async def _search(
    job: GenerationJob,
    search: SearchJob,
    decoder: ChoiceDecoder,
    writer: EngineBranchWriter,
    begin: float,
) -> tuple[WrittenBranch, BranchTally]:
    """Return the chosen branch and the totals; `decoder` counts what was spent, come what may."""
    winner, limited_by = writer.root, None
    try:
        result = await search.strategy.search(writer, make_scorer(job, search, writer))
        assert isinstance(result.branch, WrittenBranch)  # the writer makes no others
        winner, limited_by = result.branch, result.limited_by
    except ScorerError as error:
        raise SearchError(search.strategy.name, str(error), writer.pool.spent) from error
    except ExceptionGroup as group:  # branches fail together, for one reason
        raise group.exceptions[0] from group
    finally:
        tally = BranchTally(
            strategy=search.strategy.name,
            num_branches=writer.num_branches,
            num_requested=search.strategy.num_requested,
            limited_by=_name_limit(job, limited_by),
            num_hidden=writer.pool.spent,
            num_injected=writer.num_injected,
        )
        decoder.note_search(_without_winner(tally, writer, winner), time.monotonic() - begin)
    return winner, tally


def _without_winner(
    tally: BranchTally, writer: EngineBranchWriter, winner: WrittenBranch
) -> BranchTally:
    """Return `tally` without the tokens of the chosen branch, which the decoder counts itself."""
    return replace(
        tally,
        num_hidden=writer.pool.spent - len(winner.token_ids),
        num_injected=writer.num_injected - winner.num_injected,
    )


def _name_limit(job: GenerationJob, limit: SearchLimit | None) -> str | None:
    """Return the name of what limited the search; of a budget that was itself cut, of its limit."""
    if limit is None:
        return None
    budget_limit = job.prompt.budget.limited_by
    if limit is SearchLimit.POOL and budget_limit is not None:
        return budget_limit.value
    return limit.value


def _make_final_plan(
    job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch
) -> ThinkingPlan:
    """Return the plan under which the winner is written to its end.

    A winner that still thinks may use what the search has left of the budget. Grace was not in
    the branches' plan, as it would end their thoughts at a place of another budget.
    """
    plan = job.prompt.plan
    if not winner.is_thinking:
        return plan
    most = max(winner.num_hidden, job.prompt.thought_room)
    return replace(plan, budget=min(winner.num_hidden + writer.pool.left, most))


def _make_final_request(
    job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch, plan: ThinkingPlan
) -> EngineRequest:
    num_hidden_elsewhere = writer.pool.spent - len(winner.token_ids)
    left = job.prompt.budget.max_tokens - num_hidden_elsewhere - len(winner.token_ids)
    request = writer.make_request(winner, plan, left)
    # The scores of branches need log-probabilities; the client may not have requested any.
    sampling = replace(request.sampling, num_logprobs=job.sampling.num_logprobs)
    return replace(request, sampling=sampling)
