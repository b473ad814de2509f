"""Converts a chat body to the request that all endpoints share. Generates nothing."""

import secrets

from server.api.begin import RequestContext
from server.api.ignored import note_ignored
from server.api.openai.chat.encrypted_thoughts import ENCRYPTED_CONTENT, open_thoughts
from server.api.openai.chat.protocol import ChatCompletionRequest
from server.prompt.conversation import Conversation
from server.reply.admit import Prepared
from server.reply.reply import Reply
from server.reply.request import ReplyRequest


async def prepare_chat(context: RequestContext[ChatCompletionRequest]) -> Prepared[Reply]:
    """Check and plan the reply to a conversation.

    Raises:
        ApiError: see :func:`server.reply.prepare.prepare_reply`.
    """
    body = context.body
    # So that what is named as unused is what cannot be opened.
    messages = [open_thoughts(message, context.seal) for message in body.messages]
    body = body.model_copy(update={"messages": messages})
    for path in body.unused_paths:
        note_ignored(context.request, path)
    conversation = Conversation(
        [message.to_prompt() for message in body.messages],
        body.chat_template_kwargs or {},
        continues=bool(body.continue_final_message),
    )
    return await context.prepare(
        ReplyRequest(
            reply_id=f"chatcmpl-{secrets.token_hex(16)}",
            model_name=body.model,
            prompt=conversation,
            thinking=context.thinking,
            max_tokens=body.reply_limit,
            sampling=body.sampling,
            num_choices=body.n or 1,
            stops=body.stop or (),
            constraint=body.constraint,
            stop_token_ids=body.stop_token_ids or (),
            tool_use=body.tool_use,
            store=body.store,
            keeps_thought=body.includes(ENCRYPTED_CONTENT),
            reports_progress=body.reports_progress,
            lowered_by=body.priority or 0,
        )
    )
