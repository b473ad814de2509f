"""A choice found by search: the strategy's branches, and the request that ends the chosen one.

To its reader it is a choice like any other: nothing arrives while branches are written, then the
chosen branch at once, then the rest as it is generated. The receipt counts the tokens of the other
branches. Does not know how a branch is chosen.
"""

import time
from dataclasses import replace

from server.engine.protocol import EngineOutput, EngineRequest
from server.errors.internal import ScorerError, SearchError
from server.generation.governing import ChoiceGovernor
from server.generation.job import GenerationJob, SearchJob
from server.generation.search.branch_scorer import make_scorer
from server.generation.search.branch_writer import EngineBranchWriter, WrittenBranch
from server.generation.search.moments import Moments
from server.model.served_model import ServedModel
from thinking.phase import StopCause
from thinking.plan import ThinkingPlan
from thinking.receipt import BranchTally
from thinking.strategies.protocol import SearchLimit


async def search_choice(
    model: ServedModel,
    job: GenerationJob,
    search: SearchJob,
    governor: ChoiceGovernor,
    moments: Moments | None = None,
) -> tuple[EngineRequest, EngineOutput]:
    """Search for a choice; return the request that writes its end, and the chosen branch before it.

    The caller pushes the branch to the governor's decoder. Cancelling it aborts. `moments` are told
    when something was written; None: nobody looks.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
        SearchError: the reward model gave no scores.
    """
    decoder, begin = governor.decoder, time.monotonic()

    def note_moment() -> None:
        assert moments is not None
        decoder.note_searching(writer.num_hidden, time.monotonic() - begin)
        moments.note()

    writer = EngineBranchWriter(model, job, decoder.index, note_moment if moments else None)
    with governor.attend_search(writer):
        winner, tally = await _search(job, search, governor, writer, begin)
    if job.constraint is not None and winner.num_answer and winner.finish_reason is None:
        # Its grammar cannot start in the middle: keep the thought, write the answer anew.
        winner = winner.without_answer()
    plan = _make_final_plan(job, writer, winner, governor.num_extended)
    decoder.adopt_branch(plan, _without_winner(tally, writer, winner))
    entries = winner.entries if job.sampling.num_logprobs is not None else None
    output = EngineOutput(
        winner.token_ids,
        entries,
        winner.finish_reason,
        num_cached_tokens=writer.num_cached,
        num_migrations=writer.num_migrations,
    )
    request = _make_final_request(job, writer, winner, plan, governor.num_reply_extended)
    return request, output


async def _search(
    job: GenerationJob,
    search: SearchJob,
    governor: ChoiceGovernor,
    writer: EngineBranchWriter,
    begin: float,
) -> tuple[WrittenBranch, BranchTally]:
    """Return the chosen branch and the totals; what was spent is counted, come what may."""
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
            limited_by=_name_limit(job, limited_by, by_caller=writer.pool.is_closed),
            num_hidden=writer.pool.spent,
            num_injected=writer.num_injected,
        )
        governor.decoder.note_search(
            _without_winner(tally, writer, winner), time.monotonic() - begin
        )
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


def _name_limit(job: GenerationJob, limit: SearchLimit | None, *, by_caller: bool) -> str | None:
    """Return the name of what limited the search; of a budget that was itself cut, of its limit."""
    if by_caller:
        return StopCause.CALLER.value
    if limit is None:
        return None
    budget_limit = job.prompt.budget.limited_by
    if limit is SearchLimit.POOL and budget_limit is not None:
        return budget_limit.value
    return limit.value


def _make_final_plan(
    job: GenerationJob, writer: EngineBranchWriter, winner: WrittenBranch, num_extended: int
) -> ThinkingPlan:
    """Return the plan under which the winner is written to its end.

    A winner that still thinks may use what the search has left of the budget, but for
    `num_extended`, by which the caller has raised it: a command of its own does that, as the
    winner's tokens were written before. Grace was not in the branches' plan, as it would end their
    thoughts at a place of another budget.
    """
    plan = job.prompt.plan
    if not winner.is_thinking:
        return plan
    most = max(winner.num_hidden, job.prompt.thought_room)
    return replace(plan, budget=min(winner.num_hidden + writer.pool.unspent - num_extended, most))


def _make_final_request(
    job: GenerationJob,
    writer: EngineBranchWriter,
    winner: WrittenBranch,
    plan: ThinkingPlan,
    num_reply_extended: int,
) -> EngineRequest:
    num_hidden_elsewhere = writer.pool.spent - len(winner.token_ids)
    left = (
        job.prompt.budget.max_tokens
        + num_reply_extended
        - num_hidden_elsewhere
        - len(winner.token_ids)
    )
    request = writer.make_request(winner, plan, left)
    # The scores of branches need log-probabilities; the client may not have requested any.
    sampling = replace(request.sampling, num_logprobs=job.sampling.num_logprobs)
    return replace(request, sampling=sampling)
