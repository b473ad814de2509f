"""From what a request asks for to a reply that can begin: all checks that need the model."""

from dataclasses import replace

from server.account.account import RequestAccount
from server.constraint.answer_constraint import AnswerConstraint
from server.dialects.budget_request import budget_ask
from server.dialects.strategies import check_branches_differ, check_scorer
from server.engine.protocol import SamplingSettings
from server.errors.api import BadRequestError
from server.generation.job import GenerationJob, SearchJob
from server.keys.key import AccessKey
from server.keys.permissions import check_model, check_shows_thoughts
from server.model.limits import ReplyLimits
from server.model.served_model import ServedModel
from server.prompt.conversation import Conversation
from server.prompt.messages import plain_messages
from server.prompt.plain_prompt import check_token_ids
from server.prompt.tool_prompt import told_of_tools
from server.reply.reply import Reply
from server.reply.request import ReplyAsk
from server.reply.sampling import check_answer_only, sampling_settings
from server.reply.tool_constraint import tool_constraint
from server.reply.tool_readers import reader_maker
from server.state import ServerState
from server.tools.tool import ToolMode, ToolUse
from server.traces.capture import TraceHead, traced_sampling
from thinking.budget import BudgetAsk
from thinking.segments import AnswerEnd
from thinking.strategies.protocol import Strategy


async def prepare_reply(
    state: ServerState, model: ServedModel, account: RequestAccount, ask: ReplyAsk
) -> Reply:
    """Check `ask` against the model and the server, and plan the reply.

    Raises:
        ApiError: 400, 403 or 404; see the messages.
        BudgetError, PromptError, ConstraintError: see :mod:`server.errors.internal`.
    """
    check_model(account.key, model.engine.model_name, ask.model_name)
    shows_thought = _shows_thought(state, account.key, ask)
    keeps_trace = _keeps_trace(state, ask)
    budget = budget_ask(ask.thinking)
    _check_can_search(state, ask, budget)
    ask = _told_of_tools(model, ask)
    new_tool_reader = reader_maker(model.engine, ask.tool_use)
    constraint = _constraint(ask)
    limits = ReplyLimits(
        total=ask.thinking.reply_limit,
        answer=ask.max_answer_tokens,
        key_ceiling=account.key.thinking_ceiling,
        load_share=state.load.share(),
    )
    prompt = await model.prepare(ask.prompt, budget, limits)
    if constraint is not None:
        await model.check_constraint(constraint, prompt)
    sampling = sampling_settings(
        ask.sampling,
        model.engine,
        prompt.budget.max_tokens,
        calls_tools=constraint is None and not _forbids_calls(ask.tool_use),
    )
    check_answer_only(ask.sampling, prompt.plan, sampling.max_tokens)
    job = GenerationJob(
        request_id=ask.reply_id,
        prompt=prompt,
        sampling=sampling,
        num_choices=ask.num_choices,
        stops=ask.stops,
        shows_thought=shows_thought or ask.keeps_thought or keeps_trace,
        constraint=constraint,
        answer_end=_answer_end(model, ask),
        new_tool_reader=new_tool_reader,
        max_thinking_seconds=_thinking_seconds(state, ask),
    )
    if budget.strategy is not None:
        job = replace(job, search=_search(state, ask, budget.strategy, sampling))
    trace = _trace_head(model, ask, job, account.key.key_id) if keeps_trace else None
    has_limit = limits.total is not None or limits.answer is not None
    return Reply(
        state, account, model, job, shows_thought, ask.keeps_thought, trace, has_limit=has_limit
    )


def _told_of_tools(model: ServedModel, ask: ReplyAsk) -> ReplyAsk:
    if not isinstance(ask.prompt, Conversation):
        return ask
    template = model.engine.tokenizer.chat_template
    return replace(ask, prompt=told_of_tools(ask.prompt, ask.tool_use, template))


def _constraint(ask: ReplyAsk) -> AnswerConstraint | None:
    """What the client asked for, or what makes the answer call a tool; endpoints refuse both."""
    if ask.tool_use is None:
        return ask.constraint
    forced = tool_constraint(ask.tool_use)
    if forced is not None and ask.constraint is not None:
        raise BadRequestError(
            f"{ask.constraint.field}: should be left out where {ask.tool_use.field} demands a call",
            param=ask.constraint.field,
            code="invalid_value",
        )
    return forced or ask.constraint


def _forbids_calls(use: ToolUse | None) -> bool:
    return use is not None and use.mode is ToolMode.NONE


def _answer_end(model: ServedModel, ask: ReplyAsk) -> AnswerEnd:
    check_token_ids(ask.stop_token_ids, model.engine.vocab_size, "stop_token_ids")
    return AnswerEnd(ask.max_answer_tokens, frozenset(ask.stop_token_ids))


def _shows_thought(state: ServerState, key: AccessKey, ask: ReplyAsk) -> bool:
    wish = ask.thinking.wish
    if wish.shows_thought:
        server_shows = state.settings.show_thoughts
        check_shows_thoughts(key, server_shows=server_shows, param=wish.show_field)
    return wish.shows_thought


def _thinking_seconds(state: ServerState, ask: ReplyAsk) -> float | None:
    """What the request says; the server's own limit is its default and its ceiling."""
    asked, ceiling = ask.thinking.wish.seconds, state.settings.max_thinking_seconds
    if asked is None:
        return ceiling
    assert isinstance(asked.value, int | float)
    return asked.value if ceiling is None else min(asked.value, ceiling)


def _keeps_trace(state: ServerState, ask: ReplyAsk) -> bool:
    if ask.store and state.traces is None:
        raise BadRequestError(
            "store: should be false or left out: this server keeps no traces (--trace-store)",
            param="store",
            code="invalid_value",
        )
    is_chat = isinstance(ask.prompt, Conversation)
    return state.traces is not None and ask.store is not False and is_chat


def _check_can_search(state: ServerState, ask: ReplyAsk, budget: BudgetAsk) -> None:
    if budget.strategy is not None:
        check_scorer(budget.strategy, has_scorer=state.reward_model is not None)
        if budget.strategy.needs_scorer and not isinstance(ask.prompt, Conversation):
            raise BadRequestError(
                "thinking_options.strategy: a reward model judges replies to a conversation; use "
                "the chat endpoint, or a strategy without one",
                param="thinking_options.strategy",
                code="invalid_value",
            )


def _search(
    state: ServerState, ask: ReplyAsk, strategy: Strategy, sampling: SamplingSettings
) -> SearchJob:
    check_branches_differ(strategy, sampling)
    if not isinstance(ask.prompt, Conversation):
        return SearchJob(strategy, None, ())
    judge = state.reward_model if strategy.needs_scorer else None
    return SearchJob(strategy, judge, plain_messages(ask.prompt.messages, knows_developer=True))


def _trace_head(model: ServedModel, ask: ReplyAsk, job: GenerationJob, key_id: str) -> TraceHead:
    assert isinstance(ask.prompt, Conversation)
    return TraceHead(
        trace_id=ask.reply_id,
        model=model.engine.model_name,
        messages=plain_messages(ask.prompt.messages, knows_developer=True),
        sampling=traced_sampling(job),
        markers=model.marker_pair,
        key_id=key_id,
    )
