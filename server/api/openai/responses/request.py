"""Converts a Responses body to the request that all endpoints share, and errors to its fields.

Generates nothing.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.api.begin import RequestContext
from server.api.ignored import note_ignored
from server.api.openai.responses.conversation import ConversationBuilder, build_conversation
from server.api.openai.responses.hosted_items import make_hosted_item
from server.api.openai.responses.items import InputItem, Item, ItemReference
from server.api.openai.responses.protocol import ConversationFields, ResponsesRequest
from server.api.openai.responses.records import read_record, read_records
from server.api.openai.responses.socket_link import get_key_responses
from server.api.openai.responses.toolbox import Toolbox
from server.api.openai.thinking_progress import asks_for_progress
from server.errors.api import ApiError, BadRequestError
from server.errors.internal import ConstraintError, PromptError
from server.errors.translation import to_api_error
from server.keys.sealed_thoughts import ThoughtSeal
from server.prompt.conversation import Conversation
from server.reply.admit import Prepared
from server.reply.reply import Reply
from server.reply.request import ReplyRequest
from server.stored_responses.store import KeyResponses

ID_PREFIX = "resp_"
# An item's id contains the token of its response's id: "msg_<32 hexadecimal digits>_0".
_ITEM_ID = re.compile(r"^[a-z]+_([0-9a-f]{32})_(?:in)?\d+$")
_THOUGHT_PREFIX = "rs_"
# Path of a message in the errors of the code that all endpoints share.
_MESSAGES = re.compile(r"^messages(?:\[(\d+)\])?")
# Statuses of responses whose conversation may go on.
_CONTINUABLE = ("completed", "incomplete")
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "compaction": "cmp",
}


@dataclass(frozen=True, slots=True)
class ResponseInput:
    """The request's own `input`, the `previous` conversation, and both as messages.

    `token` is part of the ids of the response and of its items.
    """

    token: str
    input: Sequence[Item]
    previous: Sequence[Item]
    conversation: ConversationBuilder

    def to_reply_request(self, context: RequestContext[ResponsesRequest]) -> ReplyRequest:
        """Return the request. `store` may forbid a trace, but never requires one."""
        body = context.body
        return ReplyRequest(
            reply_id=ID_PREFIX + self.token,
            model_name=body.model,
            prompt=Conversation(self.conversation.messages, body.chat_template_kwargs or {}),
            thinking=context.thinking,
            max_tokens=body.max_output_tokens,
            sampling=body.sampling,
            stops=body.stop or (),
            constraint=body.constraint,
            tool_use=body.tool_use,
            store=None if body.stores else False,
            keeps_thought=True,
            reports_progress=asks_for_progress(body.stream_options),
            lowered_by=body.priority or 0,
        )

    def with_own_paths(self, error: ApiError | PromptError) -> ApiError:
        """Return an error about the messages as an error about the fields that they came from."""
        own = to_api_error(error)
        own.message = self._rename_paths(own.message)
        if own.param is not None:
            own.param = self._rename_paths(own.param)
        return own

    def _rename_paths(self, text: str) -> str:
        return _MESSAGES.sub(self._get_place, text)

    def _get_place(self, found: re.Match[str]) -> str:
        """Return the field of a message; a message that describes tools may have no field."""
        number, places = found[1], self.conversation.places
        return places[int(number)] if number and int(number) < len(places) else "input"


async def prepare_response(
    context: RequestContext[ResponsesRequest],
) -> Prepared[tuple[ResponseInput, Reply]]:
    """Check a request in the form of items, and plan the reply.

    Raises:
        ApiError: a response or item is unknown; see also ``build_conversation`` and
            :func:`server.reply.prepare.prepare_reply`.
    """
    body = context.body
    stored = get_key_responses(context.request)
    _check_store(body, stored)
    given = await read_input(body, body.toolbox, stored, context.seal)
    for path in (*body.find_unused(), *dict.fromkeys(given.conversation.left_out)):
        note_ignored(context.request, path)
    try:
        prepared = await _prepare(context, given.to_reply_request(context))
    except (ApiError, PromptError) as error:
        raise given.with_own_paths(error) from error
    return prepared.with_extra(given)


def _check_store(body: ResponsesRequest, stored: KeyResponses) -> None:
    """Check that a response that has to be stored can be.

    Raises:
        BadRequestError: this server stores nothing, or `store` contradicts `background`.
    """
    if body.background and not body.stores:
        message = "background: needs store: true (the default), as the response is fetched later"
        raise BadRequestError(message, param="background", code="invalid_value")
    name = "store" if body.store else "background"
    if stored.is_off and (body.store or body.background):
        raise BadRequestError(
            f"{name}: should be false or left out: this server stores no responses "
            "(--response-store-max-responses)",
            param=name,
            code="invalid_value",
        )


async def _prepare(
    context: RequestContext[ResponsesRequest], request: ReplyRequest
) -> Prepared[Reply]:
    """Plan the reply; without the grammar of a custom tool if the engine cannot enforce it."""
    try:
        return await context.prepare(request)
    except ConstraintError:
        plain = _without_input_formats(request)
        if plain is None:
            raise
    for path in context.body.toolbox.find_unenforced_grammars(None):
        if path not in context.account.ignored_fields:
            note_ignored(context.request, path)
    return await context.prepare(plain)


def _without_input_formats(request: ReplyRequest) -> ReplyRequest | None:
    """Return `request` without the formats of texts for tools; None: it has none."""
    use = request.tool_use
    if use is None or all(tool.input_format is None for tool in use.tools):
        return None
    tools = [replace(tool, input_format=None) for tool in use.tools]
    return replace(request, tool_use=replace(use, tools=tools))


async def read_input(
    body: ConversationFields, toolbox: Toolbox, store: KeyResponses, seal: ThoughtSeal
) -> ResponseInput:
    """Resolve the references in `body`, and build the messages.

    Raises:
        BadRequestError: a response or item is unknown; see also ``build_conversation``.
        StoreUnavailableError: it refers to the store, which does not respond.
    """
    if not body.input and body.previous_response_id is None:
        message = "input: a text or at least one item is needed"
        raise BadRequestError(message, param="input", code="missing_field")
    token = secrets.token_hex(16)
    previous = await _get_previous(body.previous_response_id, store)
    given = [
        _with_id(await _resolve_reference(item, place, store), f"{token}_in{place}")
        for place, item in enumerate(body.input)
    ]
    conversation = build_conversation(seal, toolbox, body.instructions, previous, given)
    return ResponseInput(token, given, previous, conversation)


async def _get_previous(response_id: str | None, store: KeyResponses) -> Sequence[Item]:
    if response_id is None:
        return ()
    stored = await store.get(response_id)
    if stored is None:
        raise BadRequestError(
            "previous_response_id: this server has no such response: it was not stored (store: "
            "false, another replica), was deleted, or was evicted to make room for others",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if stored.status not in _CONTINUABLE:
        raise BadRequestError(
            f"previous_response_id: should be a completed or incomplete response; this one is "
            f"{stored.status}",
            param="previous_response_id",
            code="invalid_value",
        )
    return read_records(stored.context)


async def _resolve_reference(item: InputItem, place: int, store: KeyResponses) -> Item:
    if not isinstance(item, ItemReference):
        return item
    stored = await _find_stored_item(item.id, store)
    if stored is None and item.id.startswith(_THOUGHT_PREFIX):
        # Of another server: the conversation goes on without the thought.
        return make_hosted_item("reasoning", {"id": item.id, "summary": []})
    if stored is None:
        raise BadRequestError(
            f"input[{place}].id: this server has no such item",
            param=f"input[{place}].id",
            code="item_not_found",
        )
    return stored


async def _find_stored_item(item_id: str, store: KeyResponses) -> Item | None:
    """Return the item of a stored response's input or output; None: there is none."""
    found = _ITEM_ID.match(item_id)
    stored = await store.get(ID_PREFIX + found[1]) if found else None
    if stored is None:
        return None
    return next((read_record(r) for r in stored.context if r.get("id") == item_id), None)


def _with_id(item: Item, name: str) -> Item:
    if item.id is not None:
        return item
    return item.model_copy(update={"id": f"{_PREFIXES.get(item.type, 'item')}_{name}"})
