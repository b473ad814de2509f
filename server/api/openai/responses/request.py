"""From a Responses body to what all endpoints ask for, and its errors back to its own fields."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from server.api.openai.responses.conversation import ConversationBuilder, build_conversation
from server.api.openai.responses.items import InputItem, Item, ItemReference
from server.api.openai.responses.protocol import ResponsesRequest
from server.dialects.budget_request import ThinkingFields
from server.dialects.resolution import ThinkingWish
from server.errors.api import ApiError, BadRequestError
from server.errors.internal import PromptError
from server.errors.translation import to_api_error
from server.keys.sealed_thoughts import ThoughtSeal
from server.prompt.conversation import Conversation
from server.reply.request import ReplyAsk
from server.stored_responses.store import ResponseShelf

ID_PREFIX = "resp_"
# An item's id holds that of its response: "msg_<32 hexadecimal digits>_0".
_ITEM_ID = re.compile(r"^[a-z]+_([0-9a-f]{32})_(?:in)?\d+$")
# What the shared way of a request calls the conversation.
_MESSAGES = re.compile(r"^messages(?:\[(\d+)\])?")
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}


@dataclass(frozen=True, slots=True)
class ResponseAsk:
    """One request: its own `input`, what went before, and both as messages.

    `token` makes the ids of the response and of its items.
    """

    token: str
    input: Sequence[Item]
    previous: Sequence[Item]
    conversation: ConversationBuilder

    def to_reply_ask(self, body: ResponsesRequest, wish: ThinkingWish) -> ReplyAsk:
        """What the reply is made of. Its trace follows `store` only where that forbids it."""
        return ReplyAsk(
            reply_id=ID_PREFIX + self.token,
            model_name=body.model,
            prompt=Conversation(self.conversation.messages, body.chat_template_kwargs or {}),
            thinking=ThinkingFields(
                wish, body.thinking_options, body.min_thinking_tokens, body.max_output_tokens
            ),
            sampling=body.sampling,
            stops=body.stop or (),
            constraint=body.constraint,
            tool_use=body.tool_use,
            store=None if body.stores else False,
            keeps_thought=True,
        )

    def in_own_words(self, error: ApiError | PromptError) -> ApiError:
        """An error about the messages as one about the fields that they came from."""
        told = to_api_error(error)
        told.message = self._renamed(told.message)
        if told.param is not None:
            told.param = self._renamed(told.param)
        return told

    def _renamed(self, text: str) -> str:
        return _MESSAGES.sub(self._place, text)

    def _place(self, found: re.Match[str]) -> str:
        """Where a message came from; one that tools were told in may be none of the client's."""
        number, places = found[1], self.conversation.places
        return places[int(number)] if number and int(number) < len(places) else "input"


def read_ask(body: ResponsesRequest, store: ResponseShelf[Item], seal: ThoughtSeal) -> ResponseAsk:
    """Find what `body` refers to, and make messages of it all.

    Raises:
        BadRequestError: an unknown response or item, or see ``build_conversation``.
    """
    if body.store and store.is_off:
        raise BadRequestError(
            "store: should be false or left out: this server keeps no responses "
            "(--response-store-max-responses)",
            param="store",
            code="invalid_value",
        )
    if not body.input and body.previous_response_id is None:
        message = "input: a text or at least one item is needed"
        raise BadRequestError(message, param="input", code="missing_field")
    token = secrets.token_hex(16)
    previous = _previous(body.previous_response_id, store)
    given = [
        _with_id(_found(item, place, store), f"{token}_in{place}")
        for place, item in enumerate(body.input)
    ]
    conversation = build_conversation(seal, body.instructions, previous, given)
    return ResponseAsk(token, given, previous, conversation)


def _previous(response_id: str | None, store: ResponseShelf[Item]) -> Sequence[Item]:
    if response_id is None:
        return ()
    stored = store.get(response_id)
    if stored is None:
        raise BadRequestError(
            "previous_response_id: no such response is stored here: it never was (store: false, "
            "another replica), or it has been deleted or has made room for others",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return stored.context


def _found(item: InputItem, place: int, store: ResponseShelf[Item]) -> Item:
    if not isinstance(item, ItemReference):
        return item
    stored = _stored_item(item.id, store)
    if stored is None:
        raise BadRequestError(
            f"input[{place}].id: no such item is stored here",
            param=f"input[{place}].id",
            code="item_not_found",
        )
    return stored


def _stored_item(item_id: str, store: ResponseShelf[Item]) -> Item | None:
    """An item of a stored response's input or output."""
    found = _ITEM_ID.match(item_id)
    stored = store.get(ID_PREFIX + found[1]) if found else None
    if stored is None:
        return None
    return next((item for item in stored.context if item.id == item_id), None)


def _with_id(item: Item, name: str) -> Item:
    if item.id is not None:
        return item
    return item.model_copy(update={"id": f"{_PREFIXES[item.type]}_{name}"})
