"""``POST /v1/responses/compact``: replaces a conversation by a summary that the model writes.

The summary is sealed, so only this server can read it, and only for the same key. Stores nothing.
Does not decide when a conversation is too long: the client does.
"""

import secrets
import time
from typing import Any

from pydantic import Field

from server.api.begin import RequestContext
from server.api.fields.thinking import ThinkingBody
from server.api.ignored import note_ignored
from server.api.openai.responses.items import Item, MessageItem
from server.api.openai.responses.protocol import ConversationFields
from server.api.openai.responses.request import ResponseInput, read_input
from server.api.openai.responses.response import to_usage
from server.api.openai.responses.summary import seal_summary
from server.api.openai.responses.toolbox import Toolbox
from server.errors.api import ApiError
from server.errors.internal import PromptError
from server.prompt.conversation import Conversation
from server.reply.admit import Prepared
from server.reply.reply import Reply
from server.reply.request import ReplyRequest
from server.stored_responses.store import KeyResponses

ID_PREFIX = "cmp_"
DEFAULT_MAX_TOKENS = 2_048
_TASK = """\
Summarize the conversation above, so that it can be continued from the summary alone. Keep the \
user's goals and wishes, decisions, facts, names, file paths, results of tools, and what is still \
to be done. Write the summary and nothing else."""


COMPACTED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "response.compaction"},
        "created_at": {"type": "integer"},
        "output": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": "object"},
        "thinking": {"$ref": "#/components/schemas/Receipt"},
    },
}


class CompactRequest(ThinkingBody, ConversationFields):
    """Body of ``/v1/responses/compact``."""

    max_output_tokens: int | None = Field(
        None,
        ge=1,
        description="Maximum number of tokens of thought and summary together. Default: "
        f"{DEFAULT_MAX_TOKENS}, or what the context has left.",
    )
    # Ignored, as they do not affect the replies of this server.
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None


async def prepare_compaction(
    context: RequestContext[CompactRequest],
) -> Prepared[tuple[ResponseInput, Reply]]:
    """Plan the summary.

    Raises:
        ApiError: see :func:`server.api.openai.responses.request.prepare_response`.
    """
    body = context.body
    stored = KeyResponses(context.services.responses, context.account.key.key_id)
    given = await read_input(body, Toolbox(()), stored, context.seal)
    for path in dict.fromkeys(given.conversation.left_out):
        note_ignored(context.request, path)
    messages = [*given.conversation.messages, {"role": "user", "content": _TASK}]
    request = ReplyRequest(
        reply_id=ID_PREFIX + secrets.token_hex(16),
        model_name=body.model,
        prompt=Conversation(messages, {}),
        thinking=context.thinking,
        max_tokens=body.max_output_tokens,
        max_answer_tokens=None if body.max_output_tokens else DEFAULT_MAX_TOKENS,
        store=False,
    )
    try:
        prepared = await context.prepare(request)
    except (ApiError, PromptError) as error:
        raise given.with_own_paths(error) from error
    return prepared.with_extra(given)


async def compact(
    context: RequestContext[CompactRequest], given: ResponseInput, reply: Reply
) -> dict[str, Any]:
    """Return the compacted conversation.

    Raises:
        EngineError: see :func:`server.generation.generate`.
    """
    (choice,) = await reply.collect()
    assert choice.result is not None
    summary = {
        "id": reply.job.request_id,
        "type": "compaction",
        "encrypted_content": seal_summary(context.seal, choice.content),
    }
    kept = [item.to_listed() for item in (*given.previous, *given.input) if _is_kept(item)]
    return {
        "id": f"resp_{given.token}",
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [*kept, summary],
        "usage": to_usage(reply.num_prompt_tokens, choice.result),
        "thinking": choice.result.receipt.to_dict(),
    }


def _is_kept(item: Item) -> bool:
    """Return whether a message is kept as it is: those of the user, and what the model was told."""
    return isinstance(item, MessageItem) and item.role != "assistant"
