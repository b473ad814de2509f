"""Converts a Messages body to the request that all endpoints share. Generates nothing."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from server.api.anthropic.content import ThoughtDisplay
from server.api.anthropic.context_edits import Turns, apply_edits
from server.api.anthropic.conversation import to_conversation
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.tool_loading import to_tool_use
from server.api.begin import RequestContext
from server.api.ignored import note_ignored
from server.errors.api import PromptTooLongError
from server.reply.admit import Prepared
from server.reply.reply import Reply
from server.reply.request import ReplyRequest

BodyT = TypeVar("BodyT", bound=CountTokensRequest)
Note = Callable[[str], None]
AppliedEdits = list[dict[str, Any]] | None
_ESTIMATES_BETA = "thinking-token-count"


def _ignore(_: str) -> None:
    """Note nothing: the request is only counted."""


async def prepare_message(
    context: RequestContext[MessagesRequest],
) -> Prepared[tuple[AppliedEdits, Reply]]:
    """Check a request in Anthropic's form, and plan the reply.

    Also returns what the edits of ``context_management`` did.

    Raises:
        ApiError: see :func:`server.reply.prepare.prepare_reply`.
    """
    edited, applied = await edit_context(context)
    body = edited.body
    note = partial(note_ignored, context.request)
    display = get_thought_display(context)
    request = replace(
        to_reply_request(edited, note),
        max_tokens=body.max_tokens,
        sampling=body.sampling,
        stops=body.stop_sequences or (),
        constraint=body.constraint,
        keeps_thought=display is not ThoughtDisplay.NONE,
        reports_progress=display is ThoughtDisplay.OMITTED and has_estimates(context),
    )
    note_unused(context)
    return (await context.prepare(request)).with_extra(applied)


def note_unused(context: RequestContext[BodyT]) -> None:
    """Name the fields of the body that ask for something that is not done here."""
    for name in context.body.list_unused():
        note_ignored(context.request, name)


async def edit_context(
    context: RequestContext[BodyT],
) -> tuple[RequestContext[BodyT], AppliedEdits]:
    """Return `context` with its conversation as ``context_management`` edits it.

    Also returns what the edits did; None: none was requested.
    """
    management = context.body.context_management
    if management is None or management.edits is None:
        return context, None

    bare = without_earlier_thought(context)  # it belongs to the edited conversation

    async def count(turns: Turns) -> int:
        return await count_prompt_tokens(_with_turns(bare, turns))

    note = partial(note_ignored, context.request)
    edited = await apply_edits(management.edits, context.body.messages, count, note)
    return _with_turns(context, edited.turns), edited.applied


async def count_prompt_tokens(context: RequestContext[BodyT], note: Note = _ignore) -> int:
    """Return the number of tokens of the prompt, even of one that is too long."""
    try:
        prepared = await context.prepare(to_reply_request(context, note))
    except PromptTooLongError as error:
        return error.num_tokens
    return prepared.demand.prompt_tokens


def without_earlier_thought(context: RequestContext[BodyT]) -> RequestContext[BodyT]:
    """Return `context` for counting the prompt alone, without a thought that goes on."""
    return replace(context, thinking=replace(context.thinking, sealed_thought=None))


def _with_turns(context: RequestContext[BodyT], turns: Turns) -> RequestContext[BodyT]:
    return replace(context, body=context.body.model_copy(update={"messages": list(turns)}))


def to_reply_request(context: RequestContext[BodyT], note: Note) -> ReplyRequest:
    """Return the request with the fields that its prompt depends on.

    `note` gets the path of each block and tool that is left out.
    """
    body = context.body
    return ReplyRequest(
        reply_id=f"msg_{secrets.token_hex(12)}",
        model_name=body.model,
        prompt=to_conversation(body, context.seal, note),
        thinking=context.thinking,
        tool_use=to_tool_use(body, note),
    )


def get_thought_display(context: RequestContext[MessagesRequest]) -> ThoughtDisplay:
    """Return the form in which the client gets the thought."""
    thinking = context.thinking
    if thinking.shows_thought:
        return ThoughtDisplay.SHOWN
    if thinking.switch is None or not thinking.switch.value:
        return ThoughtDisplay.NONE
    may_show = context.services.settings.show_thoughts and context.account.key.shows_thoughts
    # A redacted block has no deltas, in which the estimates could be. Either block has the sealed
    # thought and nothing else of it.
    if may_show or has_estimates(context):
        return ThoughtDisplay.OMITTED
    return ThoughtDisplay.REDACTED


def has_estimates(context: RequestContext[MessagesRequest]) -> bool:
    """Return whether the stream says how long a hidden thought is so far."""
    betas = context.request.headers.getlist("anthropic-beta")
    return bool(context.body.stream) and any(_ESTIMATES_BETA in value for value in betas)
