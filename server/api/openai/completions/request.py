"""Text completions of one request: the replies to its prompts, and their echoes.

Does not know the form of the JSON.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.api.begin import RequestContext
from server.api.ignored import note_ignored
from server.api.openai.completions.echo import Echo, read_echoes
from server.api.openai.completions.logprobs import TokenListsWriter
from server.api.openai.completions.prompt_field import get_prompt_fields
from server.api.openai.completions.protocol import CompletionRequest
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.errors.api import BadRequestError
from server.prompt.conversation import PlainPrompt
from server.reply.admit import Prepared, join_prepared
from server.reply.group import ReplyGroup
from server.reply.reply import Reply
from server.reply.request import ReplyRequest
from thinking.plan import ThinkingPlan
from thinking.receipt import make_receipt
from thinking.tracker import ThinkingTracker

ID_PREFIX = "cmpl-"


@dataclass(frozen=True, slots=True)
class Completion:
    """Completions that one body requests; `lists` is None without log-probabilities."""

    reply_id: str
    body: CompletionRequest
    group: ReplyGroup
    lists: TokenListsWriter | None

    @property
    def shows_thought(self) -> bool:
        """True if the client gets the thoughts."""
        return self.group.replies[0].shows_thought

    @property
    def _measures_prompts(self) -> bool:
        """True if the prompts' log-probabilities are requested, for which all is computed."""
        return bool(self.body.echo) and self.lists is not None

    async def read_echoes(self) -> list[Echo]:
        """Return the echo of each choice; an empty one if none was requested."""
        if not self.body.echo:
            return [Echo()] * self.group.num_choices
        of_prompts = await read_echoes(self.group.replies, self.body.prompt, self.lists)
        return [echo for echo in of_prompts for _ in range(self.body.num_choices)]

    async def stream_deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """Yield the deltas of all choices as they are generated; closing ends all choices."""
        if not self.body.generates:
            for place, reply in enumerate(self.group.replies):
                async with aclosing(reply.record(_to_empty_deltas(reply))) as deltas:
                    async for delta in deltas:
                        delta.index += place * self.body.num_choices
                        yield delta
            return
        async with aclosing(self.group.stream_deltas()) as deltas:
            async for delta in deltas:
                if delta.result is not None and self._measures_prompts:
                    delta.result = replace(delta.result, num_cached=0)
                yield delta


async def prepare_completion(
    context: RequestContext[CompletionRequest],
) -> Prepared[list[Reply]]:
    """Check the body against the model and the server, and plan a reply to each prompt.

    Raises:
        ApiError: see :func:`server.reply.prepare.prepare_reply`.
    """
    for path in context.body.unused_stream_options:
        note_ignored(context.request, path)
    reply_id = f"{ID_PREFIX}{secrets.token_hex(16)}"
    fields = get_prompt_fields(context.body.prompt)
    if context.thinking.sealed_thought is not None and len(fields) > 1:
        raise BadRequestError(
            "continue_thinking: a thought goes on in the reply to one prompt; send only that one",
            param="continue_thinking",
            code="contradictory_fields",
        )
    return join_prepared(
        [
            await context.prepare(_to_reply_request(context, place, field, f"{reply_id}-{place}"))
            for place, field in enumerate(fields)
        ]
    )


def open_completion(
    context: RequestContext[CompletionRequest], replies: Sequence[Reply]
) -> Completion:
    """Return the completion whose `replies`, one per prompt, have been admitted."""
    body = context.body
    reply_id = replies[0].job.request_id.rpartition("-")[0]
    lists = None
    if body.logprobs is not None:
        lists = TokenListsWriter(context.model.engine, body.logprobs)
    counts_cached = not (body.echo and lists)
    billed = [
        _with_own_rows(reply, reply_id, place, counts_cached=counts_cached)
        for place, reply in enumerate(replies)
    ]
    return Completion(reply_id, body, ReplyGroup(billed), lists)


def _to_reply_request(
    context: RequestContext[CompletionRequest], place: int, field: str, reply_id: str
) -> ReplyRequest:
    body = context.body
    return ReplyRequest(
        reply_id=reply_id,
        model_name=body.model,
        prompt=PlainPrompt(body.prompt[place], field, begins=body.add_special_tokens is not False),
        thinking=context.thinking,
        max_tokens=body.max_tokens if body.generates else 1,
        max_answer_tokens=body.max_answer_tokens,
        sampling=body.sampling,
        logprobs_field="logprobs",
        num_choices=body.num_choices,
        stops=body.stop or (),
        constraint=body.constraint,
        stop_token_ids=body.stop_token_ids or (),
        reports_progress=body.reports_progress,
        lowered_by=body.priority or 0,
        wire_id=reply_id.rpartition("-")[0],
    )


def _with_own_rows(reply: Reply, reply_id: str, place: int, *, counts_cached: bool) -> Reply:
    """Return a reply whose choices are in the ledger as the client knows them."""
    billing = reply.billing
    if billing is None:
        return reply
    head = replace(
        billing.head,
        request_id=reply_id,
        first_choice=place * reply.job.num_choices,
        counts_cached=counts_cached,
    )
    return replace(reply, billing=replace(billing, head=head))


async def _to_empty_deltas(reply: Reply) -> AsyncGenerator[ChoiceDelta, None]:
    """Yield the results of choices that consist of their prompt only."""
    tracker = ThinkingTracker(reply.model.tables, ThinkingPlan())
    receipt = make_receipt(reply.job.prompt.budget, tracker, 0.0, turn=reply.account.turn)
    for index in range(reply.job.num_choices):
        yield ChoiceDelta(index, result=ChoiceResult("length", receipt, 0, 0))
