"""The messages of a socket's client: ``response.create`` and ``response.steer``.

The body of a create is read by the endpoint, as over HTTP. Does not know what is running.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError, from_json

from server.api.openai.responses.items import read_item
from server.errors.api import ApiError, BadRequestError

CREATE, STEER = "response.create", "response.steer"
MAX_STREAM_ID_CHARACTERS = 128
Json = dict[str, Any]


class SteerInputError(ValueError):
    """The input of a steer is not what it may be. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Create:
    """Request for a response: a body of the endpoint, and how it is run on the socket."""

    body: Json
    stream_id: str | None = None
    generates: bool = True
    num_bytes: int = 0


@dataclass(eq=False, slots=True)
class Steer:
    """Input for a successor of the response `previous_response_id`; `input` is as it was sent.

    `fields`, of which OpenAI's steers have none, are the successor's: what it does not know it
    names, and no budget is ignored.
    """

    previous_response_id: str
    input: Any
    fields: Json = field(default_factory=dict)
    steer_id: str = field(default_factory=lambda: f"steer_{secrets.token_hex(16)}")

    def to_items(self) -> list[Json]:
        """Return the input as items.

        Raises:
            SteerInputError: it is not a text or a list of the user's messages.
        """
        if isinstance(self.input, str) and self.input:
            return [{"type": "message", "role": "user", "content": self.input}]
        if not isinstance(self.input, list) or not self.input:
            raise SteerInputError("input: should be a text or a list of messages, not empty")
        return [_check_item(item, place) for place, item in enumerate(self.input)]


class _SteerItem(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # the successor names what it ignores

    type: Literal["message"] = "message"
    role: Literal["user"]
    content: str | list[Any]


def _check_item(item: Any, place: int) -> Json:
    try:
        checked: Json = _SteerItem.model_validate(item).model_dump()
        read_item(checked)  # its parts
    except (ValidationError, PydanticCustomError):
        raise SteerInputError(
            f"input[{place}]: should be a message of the user: role 'user', and content that is a "
            "text or a list of input_text and input_image parts"
        ) from None
    return checked


def read_message(data: str | bytes) -> Create | Steer:
    """Read one message.

    Raises:
        BadRequestError: it is not one of the two, or not JSON.
    """
    try:
        message = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        reason = f"the message is not valid JSON in UTF-8: {error}"
        raise BadRequestError(reason, code="invalid_json") from None
    kind = message.pop("type", None) if isinstance(message, dict) else None
    if kind == CREATE:
        return _read_create(message, len(data))
    if kind == STEER:
        return _read_steer(message)
    raise _invalid("type", f"should be {CREATE!r} or {STEER!r}, in a JSON object")


def _read_create(message: Json, num_bytes: int) -> Create:
    stream_id, generates = message.pop("stream_id", None), message.pop("generate", None)
    if stream_id is not None and not _is_stream_id(stream_id):
        limit = MAX_STREAM_ID_CHARACTERS
        raise _invalid("stream_id", f"should be a text of 1 to {limit} characters")
    if generates is not None and not isinstance(generates, bool):
        raise _invalid("generate", "should be true or false")
    _remove_background(message)
    body = {**message, "stream": True}
    return Create(body, stream_id, generates is not False, num_bytes)


def _read_steer(message: Json) -> Steer:
    target, given = message.pop("previous_response_id", None), message.pop("input", None)
    if not isinstance(target, str):
        raise _invalid("previous_response_id", "should be the id of a response that is running")
    _remove_background(message)
    for name in ("stream_id", "stream"):  # those of the response that is steered
        message.pop(name, None)
    return Steer(target, given, message)


def _remove_background(message: Json) -> None:
    if message.pop("background", None):
        raise _invalid("background", "is not possible on a WebSocket: POST to /v1/responses")


def _is_stream_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_STREAM_ID_CHARACTERS


def _invalid(param: str, reason: str) -> ApiError:
    return BadRequestError(f"{param}: {reason}", param=param, code="invalid_value")
