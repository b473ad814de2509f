"""One request for text completions on its way: its prompts' replies, and what is echoed."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from server.account.account import RequestAccount
from server.api.openai.completions.echo import Echo, echoes
from server.api.openai.completions.logprobs import TokenListsWriter
from server.api.openai.completions.prompt_field import prompt_fields
from server.api.openai.completions.protocol import CompletionRequest
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.dialects.budget_request import ThinkingFields
from server.dialects.resolution import ThinkingWish
from server.model.served_model import ServedModel
from server.prompt.conversation import PlainPrompt
from server.reply.group import ReplyGroup
from server.reply.prepare import prepare_reply
from server.reply.reply import Reply
from server.reply.request import ReplyAsk
from server.state import ServerState
from thinking.plan import ThinkingPlan
from thinking.receipt import make_receipt
from thinking.tracker import ThinkingTracker


@dataclass(frozen=True, slots=True)
class Completion:
    """All that one body asks for; `lists` None: no log-probabilities."""

    reply_id: str
    body: CompletionRequest
    group: ReplyGroup
    lists: TokenListsWriter | None

    @property
    def shows_thought(self) -> bool:
        """Whether the client reads the thoughts."""
        return self.group.replies[0].shows_thought

    async def echoes(self) -> list[Echo]:
        """What stands before each choice; none where none was asked for."""
        if not self.body.echo:
            return [Echo()] * self.group.num_choices
        of_prompts = await echoes(self.group.replies, self.body.prompt, self.lists)
        return [echo for echo in of_prompts for _ in range(self.body.num_choices)]

    async def deltas(self) -> AsyncGenerator[ChoiceDelta, None]:
        """What the choices have, as it comes; closing it ends them all."""
        if not self.body.generates:
            for index in range(self.group.num_choices):
                reply = self.group.replies[index // self.body.num_choices]
                yield ChoiceDelta(index, result=_measured_only(reply))
            return
        async with aclosing(self.group.deltas()) as deltas:
            async for delta in deltas:
                yield delta


async def prepare_completion(
    state: ServerState,
    model: ServedModel,
    account: RequestAccount,
    body: CompletionRequest,
    wish: ThinkingWish,
) -> Completion:
    """Check the body against the model and the server, and plan a reply to each prompt.

    Raises:
        ApiError: see :func:`server.reply.prepare.prepare_reply`.
    """
    reply_id = f"cmpl-{secrets.token_hex(16)}"
    fields = prompt_fields(body.prompt)
    replies = [
        await prepare_reply(state, model, account, _ask(body, wish, place, fields[place], reply_id))
        for place in range(len(body.prompt))
    ]
    lists = None
    if body.logprobs is not None:
        lists = TokenListsWriter(model.engine, body.logprobs)
    return Completion(reply_id, body, ReplyGroup(replies), lists)


def _ask(
    body: CompletionRequest, wish: ThinkingWish, place: int, field: str, reply_id: str
) -> ReplyAsk:
    limit = body.max_tokens if body.generates else 1
    return ReplyAsk(
        reply_id=f"{reply_id}-{place}",
        model_name=body.model,
        prompt=PlainPrompt(body.prompt[place], field, begins=body.add_special_tokens is not False),
        thinking=ThinkingFields(wish, body.thinking_options, body.min_thinking_tokens, limit),
        sampling=body.sampling,
        num_choices=body.num_choices,
        stops=body.stop or (),
        constraint=body.constraint,
        max_answer_tokens=body.max_answer_tokens,
        stop_token_ids=body.stop_token_ids or (),
    )


def _measured_only(reply: Reply) -> ChoiceResult:
    """Of a choice that is its prompt and nothing else."""
    tracker = ThinkingTracker(reply.model.tables, ThinkingPlan())
    receipt = make_receipt(reply.job.prompt.budget, tracker, 0.0)
    return ChoiceResult("length", receipt, 0, 0)
