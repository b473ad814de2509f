"""Turns a request into a planned reply, with all checks that depend on the model.

Does not admit the reply.
"""

from dataclasses import replace

from server.account.account import RequestAccount
from server.choice.detokenizer import Detokenizer
from server.dialects.budget_request import to_budget_request
from server.dialects.strategies import check_branches_differ, check_scorer
from server.engine.protocol import SamplingSettings
from server.errors.api import BadRequestError
from server.generation.generate import create_governors
from server.generation.job import GenerationJob, SearchJob
from server.keys.key import AccessKey
from server.keys.permissions import check_model, check_shows_thoughts
from server.ledger.ledger import RowHead
from server.model.limits import ReplyLimits
from server.model.served_model import ServedModel
from server.prompt.conversation import Conversation
from server.prompt.cut_thought import CutThought
from server.prompt.messages import normalize_messages
from server.prompt.plain_prompt import check_token_ids
from server.prompt.tool_prompt import with_tools
from server.reply.admit import Prepared
from server.reply.answer_form import choose_answer_form, list_answer_forms
from server.reply.cut_thoughts import make_sealing, open_earlier_thought
from server.reply.demand import to_demand
from server.reply.reply import Billing, Recording, Reply
from server.reply.request import ReplyRequest
from server.reply.sampling import check_answer_only, check_sampling, with_thought_sampling
from server.state import Services
from server.traces.capture import TraceHead, describe_sampling
from server.traces.recorder import TraceRecorder
from thinking.budget import BudgetRequest
from thinking.segments import AnswerEnd
from thinking.strategies.protocol import Strategy


async def prepare_reply(
    services: Services, model: ServedModel, account: RequestAccount, request: ReplyRequest
) -> Prepared[Reply]:
    """Check `request` against the model and the server, and plan the reply.

    Raises:
        ApiError: 400, 403 or 404; see the messages.
        BudgetError, PromptError, ConstraintError: see :mod:`server.errors.internal`.
    """
    check_model(account.key, model.names, request.model_name)
    shows_thought = _shows_thought(services, account.key, request)
    keeps_trace = _keeps_trace(services, request)
    budget = to_budget_request(request.thinking, request.max_tokens)
    _check_can_search(services, request, budget)
    request = _with_tools(model, request)
    limits = ReplyLimits(
        total=request.max_tokens,
        answer=request.max_answer_tokens,
        key_ceiling=account.key.thinking_ceiling,
        load_share=services.load.read_share(),
        turn_left=request.turn_left,
    )
    earlier = open_earlier_thought(services, account, request)
    job = await _plan_job(model, request, budget, limits, earlier)
    job = replace(
        job,
        sealing=make_sealing(services, account, request, job.prompt.origin, earlier),
        shows_thought=shows_thought or request.keeps_thought or keeps_trace,
        reports_progress=request.reports_progress,
        max_thinking_seconds=_get_thinking_seconds(services, request),
    )
    if budget.strategy is not None and job.prompt.plan.opens:  # else its turn has nothing left
        job = replace(job, search=_to_search_job(services, request, budget.strategy, job.sampling))
    governors = create_governors(model, job)
    services.running.enter(request.wire_id or request.reply_id, account, governors)
    reply = Reply(
        account,
        model,
        job,
        shows_thought=shows_thought,
        max_seconds=services.settings.max_request_seconds,
        governors=governors,
    )
    if services.traces is not None and keeps_trace:
        reply = replace(reply, recording=_to_recording(services.traces, reply, request))
    if services.ledger is not None:
        reply = replace(reply, billing=Billing(services.ledger, _to_row_head(reply)))
    has_limit = limits.total is not None or limits.answer is not None
    return Prepared(to_demand(job, has_limit=has_limit), reply, request.lowered_by)


async def _plan_job(
    model: ServedModel,
    request: ReplyRequest,
    budget: BudgetRequest,
    limits: ReplyLimits,
    earlier: CutThought | None,
) -> GenerationJob:
    """Plan the part of the job that depends on the model."""
    forms = list_answer_forms(model.engine, request.constraint, request.tool_use)
    prompt = await model.prepare(
        request.prompt, budget, limits, earlier, needs_origin=request.thinking.seals_thought
    )
    form = await choose_answer_form(model, prompt, forms, request.constraint)
    if form.may_be_either:
        # The grammar must see the token that opens a call, so no thought may end with it.
        prompt = replace(prompt, plan=replace(prompt.plan, calls_end_thoughts=False))
    sampling = check_sampling(
        request.sampling,
        model.engine,
        prompt.budget.max_tokens,
        calls_tools=form.has_openers,
        logprobs_field=request.logprobs_field,
    )
    check_answer_only(sampling, prompt.plan)
    if prompt.plan.thinks and request.thinking.options is not None:
        sampling = with_thought_sampling(sampling, request.thinking.options.sampling)
    return GenerationJob(
        request_id=request.reply_id,
        prompt=prompt,
        sampling=sampling,
        num_choices=request.num_choices,
        stops=request.stops,
        constraint=form.constraint,
        answer_end=_to_answer_end(model, request),
        create_tool_reader=form.create_tool_reader,
    )


def _with_tools(model: ServedModel, request: ReplyRequest) -> ReplyRequest:
    if not isinstance(request.prompt, Conversation):
        return request
    template = model.engine.tokenizer.chat_template
    return replace(request, prompt=with_tools(request.prompt, request.tool_use, template))


def _to_answer_end(model: ServedModel, request: ReplyRequest) -> AnswerEnd:
    check_token_ids(request.stop_token_ids, model.engine.vocab_size, "stop_token_ids")
    return AnswerEnd(request.max_answer_tokens, frozenset(request.stop_token_ids))


def _shows_thought(services: Services, key: AccessKey, request: ReplyRequest) -> bool:
    thinking = request.thinking
    if thinking.shows_thought:
        server_shows = services.settings.show_thoughts
        check_shows_thoughts(key, server_shows=server_shows, param=thinking.show_field)
    return thinking.shows_thought


def _get_thinking_seconds(services: Services, request: ReplyRequest) -> float | None:
    """Return the requested time limit; the server's limit is its default and its ceiling."""
    requested, ceiling = request.thinking.seconds, services.settings.max_thinking_seconds
    if requested is None:
        return ceiling
    assert isinstance(requested.value, int | float)
    return requested.value if ceiling is None else min(requested.value, ceiling)


def _keeps_trace(services: Services, request: ReplyRequest) -> bool:
    if request.store and services.traces is None:
        raise BadRequestError(
            "store: should be false or left out: this server keeps no traces (--trace-store)",
            param="store",
            code="invalid_value",
        )
    is_chat = isinstance(request.prompt, Conversation)
    return services.traces is not None and request.store is not False and is_chat


def _check_can_search(services: Services, request: ReplyRequest, budget: BudgetRequest) -> None:
    if budget.strategy is not None:
        check_scorer(budget.strategy, has_scorer=services.reward_model is not None)
        if budget.strategy.needs_scorer and not isinstance(request.prompt, Conversation):
            raise BadRequestError(
                "thinking_options.strategy: a reward model scores replies to a conversation; use "
                "the chat endpoint, or a strategy without a reward model",
                param="thinking_options.strategy",
                code="invalid_value",
            )


def _to_search_job(
    services: Services, request: ReplyRequest, strategy: Strategy, sampling: SamplingSettings
) -> SearchJob:
    check_branches_differ(strategy, sampling)
    if not isinstance(request.prompt, Conversation):
        return SearchJob(strategy, None, ())
    judge = services.reward_model if strategy.needs_scorer else None
    return SearchJob(
        strategy, judge, normalize_messages(request.prompt.messages, knows_developer=True)
    )


def _to_row_head(reply: Reply) -> RowHead:
    return RowHead(
        request_id=reply.job.request_id,
        endpoint=reply.account.endpoint,
        key_id=reply.account.key.key_id,
        model=reply.model.engine.model_name,
        num_prompt_tokens=reply.num_prompt_tokens,
        num_choices=reply.job.num_choices,
    )


def _decode_earlier_thought(reply: Reply) -> str:
    """Return the text of the earlier reply's thought that this one goes on with, if any."""
    engine = reply.model.engine
    token_ids = reply.job.prompt.get_continued_text_ids(engine.profile)
    return Detokenizer(engine.tokenizer).push(token_ids) if token_ids else ""


def _to_recording(recorder: TraceRecorder, reply: Reply, request: ReplyRequest) -> Recording:
    """Return the recording of the trace of `reply`."""
    assert isinstance(request.prompt, Conversation)
    head = TraceHead(
        trace_id=request.reply_id,
        model=reply.model.engine.model_name,
        messages=normalize_messages(request.prompt.messages, knows_developer=True),
        sampling=describe_sampling(reply.job),
        markers=reply.model.marker_pair,
        key_id=reply.account.key.key_id,
        earlier_thought=_decode_earlier_thought(reply),
    )
    return Recording(head, recorder, reply.shows_thought or request.keeps_thought)
