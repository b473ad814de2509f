"""Converts a Messages body to the request that all endpoints share. Generates nothing."""

import secrets
from dataclasses import replace

from server.api.anthropic.content import ThoughtDisplay
from server.api.anthropic.conversation import to_conversation
from server.api.anthropic.protocol import CountTokensRequest, MessagesRequest
from server.api.anthropic.tools import to_tool_use
from server.api.begin import RequestContext
from server.reply.admit import Prepared
from server.reply.reply import Reply
from server.reply.request import ReplyRequest


async def prepare_message(context: RequestContext[MessagesRequest]) -> Prepared[Reply]:
    """Check a request in Anthropic's form, and plan the reply.

    Raises:
        ApiError: see :func:`server.reply.prepare.prepare_reply`.
    """
    body = context.body
    return await context.prepare(
        replace(
            to_reply_request(context),
            max_tokens=body.max_tokens,
            sampling=body.sampling,
            stops=body.stop_sequences or (),
            constraint=body.constraint,
            keeps_thought=get_thought_display(context) is not ThoughtDisplay.NONE,
        )
    )


def to_reply_request(context: RequestContext[CountTokensRequest]) -> ReplyRequest:
    """Return the request with the fields that its prompt depends on."""
    body = context.body
    return ReplyRequest(
        reply_id=f"msg_{secrets.token_hex(12)}",
        model_name=body.model,
        prompt=to_conversation(body, context.seal),
        thinking=context.thinking,
        tool_use=to_tool_use(body.tools, body.tool_choice),
    )


def get_thought_display(context: RequestContext[MessagesRequest]) -> ThoughtDisplay:
    """Return the form in which the client gets the thought."""
    thinking = context.thinking
    if thinking.shows_thought:
        return ThoughtDisplay.SHOWN
    if thinking.switch is None or not thinking.switch.value:
        return ThoughtDisplay.NONE
    may_show = context.services.settings.show_thoughts and context.account.key.shows_thoughts
    return ThoughtDisplay.OMITTED if may_show else ThoughtDisplay.REDACTED
