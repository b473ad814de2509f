"""``POST /v1/chat/completions``."""

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.body import read_body
from server.choice import ChoiceDelta, ChoiceResult
from server.dialects import budget_ask
from server.disconnect import run_while_connected
from server.errors import BadRequestError, NotAllowedError, UnknownModelError, to_api_error
from server.generation import generate
from server.generation_job import GenerationJob, SearchJob
from server.messages import plain_messages
from server.openai.chunks import DONE, ChunkWriter, error_event
from server.openai.logprobs import LogprobsWriter
from server.openai.protocol import ChatCompletionRequest
from server.openai.response import ReplyHead, chat_completion
from server.openai.sampling import sampling_settings
from server.openai.structured import answer_constraint
from server.openapi import chat_documentation
from server.served_model import ServedModel
from server.state import ServerState, server_state
from server.strategies import check_branches_differ, check_scorer
from server.streaming import EventStream
from server.traces.capture import TraceHead, captured, traced_sampling

logger = logging.getLogger(__name__)
router = APIRouter()


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One request on its way: what to generate and how to write it down.

    `trace` None: none is kept.
    """

    state: ServerState
    model: ServedModel
    body: ChatCompletionRequest
    job: GenerationJob
    head: ReplyHead
    logprobs: LogprobsWriter | None
    trace: TraceHead | None

    @property
    def shows_thought(self) -> bool:
        """Whether the client asked for thoughts and may see them."""
        return bool(self.body.include_reasoning)

    def deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """The generation; it starts when it is first read."""
        deltas = generate(self.model, self.job, self.state.metrics)
        if self.trace is None or self.state.traces is None:
            return deltas
        return captured(deltas, self.trace, self.state.traces, shows_thought=self.shows_thought)


@router.post(
    "/v1/chat/completions",
    tags=["chat"],
    summary="Answer a conversation, thinking within a budget",
    openapi_extra=chat_documentation(ChatCompletionRequest),
)
async def create_chat_completion(request: Request) -> Response:
    """Think, hidden, within `max_thinking_tokens`; then answer.

    Each choice has a receipt, `thinking`, of what its budget was and what was used.
    """
    state = server_state(request)
    model = state.ready_model()
    body = await read_body(request, ChatCompletionRequest)
    reply = await _prepare(state, model, body)
    if body.stream:
        return EventStream(_events(reply), state.settings.keep_alive_seconds)
    choices = await run_while_connected(request, _collect(reply))
    return JSONResponse(
        chat_completion(
            reply.head, choices, shows_thought=reply.shows_thought, logprobs=reply.logprobs
        )
    )


async def _prepare(
    state: ServerState, model: ServedModel, body: ChatCompletionRequest
) -> ChatReply:
    """Check what needs the model, and plan the reply."""
    if body.model != model.engine.model_name:
        raise UnknownModelError(model.engine.model_name)
    shows_thought = bool(body.include_reasoning)
    if shows_thought and not state.settings.show_thoughts:
        raise NotAllowedError("this server does not show thoughts", param="include_reasoning")
    keeps_trace = _keeps_trace(state, body)
    ask = budget_ask(body)
    if ask.strategy is not None:
        check_scorer(ask.strategy, has_scorer=state.reward_model is not None)
    messages = [message.to_prompt() for message in body.messages]
    prompt = await model.prepare(messages, ask, body.reply_limit)
    constraint = answer_constraint(body.response_format, body.structured_outputs)
    if constraint is not None:
        await model.check_constraint(constraint, prompt)
    reply_id = f"chatcmpl-{secrets.token_hex(16)}"
    sampling = sampling_settings(body, model.engine, prompt.budget.max_tokens)
    search = None
    if ask.strategy is not None:
        check_branches_differ(ask.strategy, sampling)
        judge = state.reward_model if ask.strategy.needs_scorer else None
        search = SearchJob(ask.strategy, judge, plain_messages(messages, knows_developer=True))
    job = GenerationJob(
        request_id=reply_id,
        prompt=prompt,
        sampling=sampling,
        num_choices=body.n or 1,
        stops=body.stop or (),
        shows_thought=shows_thought or keeps_trace,
        constraint=constraint,
        search=search,
    )
    head = ReplyHead(reply_id, model.engine.model_name, len(prompt.token_ids))
    logprobs = LogprobsWriter(model.engine, body.top_logprobs or 0) if body.logprobs else None
    trace = _trace_head(reply_id, model, body, job) if keeps_trace else None
    return ChatReply(state, model, body, job, head, logprobs, trace)


def _keeps_trace(state: ServerState, body: ChatCompletionRequest) -> bool:
    if body.store and state.traces is None:
        raise BadRequestError(
            "store: should be false or left out: this server keeps no traces (--trace-store)",
            param="store",
            code="invalid_value",
        )
    return state.traces is not None and body.store is not False


def _trace_head(
    reply_id: str, model: ServedModel, body: ChatCompletionRequest, job: GenerationJob
) -> TraceHead:
    messages = [message.to_prompt() for message in body.messages]
    return TraceHead(
        trace_id=reply_id,
        model=model.engine.model_name,
        messages=plain_messages(messages, knows_developer=True),
        sampling=traced_sampling(job),
        markers=model.marker_pair,
    )


async def _collect(reply: ChatReply) -> list[ChoiceDelta]:
    """All deltas of each choice, joined."""
    choices = [ChoiceDelta(index) for index in range(reply.job.num_choices)]
    async with aclosing(reply.deltas()) as deltas:
        async for delta in deltas:
            choices[delta.index].add(delta)
    return choices


async def _events(reply: ChatReply) -> AsyncGenerator[bytes, None]:
    writer = ChunkWriter(
        reply.head, includes_usage=reply.body.includes_usage, logprobs=reply.logprobs
    )
    results: list[ChoiceResult] = []
    yield writer.role(reply.job.num_choices)
    try:
        async with aclosing(reply.deltas()) as deltas:
            async for delta in deltas:
                if delta.result:
                    results.append(delta.result)
                yield writer.delta(delta)
    except Exception as error:
        api_error = to_api_error(error)
        if api_error.status == 500:
            logger.exception("a stream failed")
        yield error_event(api_error)
        return
    if reply.body.includes_usage:
        yield writer.usage(results)
    yield DONE
