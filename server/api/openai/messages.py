"""Messages of a chat: texts, and images if the model reads them.

Accepts our own replies as OpenAI's clients send them back. Does not decide what becomes of earlier
thoughts and tool calls: the chat template keeps or drops them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, from_json

from server.api.body import StrictModel
from server.constraint.json_schema import MAX_SCHEMA_DEPTH
from server.prompt.messages import IMAGE_PART

Role = Literal["system", "developer", "user", "assistant", "tool"]
_CONTENT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["text", IMAGE_PART]},
                    "text": {"type": "string"},
                    "image_url": {
                        "type": "object",
                        "properties": {"url": {"type": "string"}, "detail": {"type": "string"}},
                        "required": ["url"],
                    },
                },
                "required": ["type"],
            },
        },
        {"type": "null"},
    ]
}


def _check_content(content: Any) -> Any:
    """Return `content` unchanged, after refusing anything but text and images."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _validation_error("should be a string or a list of parts")
    for part in content:
        _check_part(part)
    return content


def _check_part(part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise _validation_error('each part should be {"type": "text", "text": "…"}')
    if part["type"] == IMAGE_PART:
        _check_image(part)
        return
    if part["type"] not in ("text", "input_text", "output_text"):
        raise _validation_error("only text and image_url parts are supported: no audio, no files")
    if set(part) - {"type", "text"} or not isinstance(part.get("text"), str):
        raise _validation_error(
            'a text part should be {"type": "text", "text": "…"} and nothing else'
        )


def _check_image(part: dict[str, Any]) -> None:
    image = part.get("image_url")
    is_object = isinstance(image, dict) and isinstance(image.get("url"), str)
    if set(part) != {"type", "image_url"} or not is_object:
        form = '{"type": "image_url", "image_url": {"url": "data:…"}}'
        raise _validation_error(f"an image part should be {form}")
    assert isinstance(image, dict)
    # `detail` is accepted and not used: the model's processor chooses the resolution.
    if set(image) - {"url", "detail"} or image.get("detail") not in (None, "auto", "low", "high"):
        raise _validation_error(
            "image_url should have 'url', and may have 'detail': auto, low or high"
        )


def _check_absent(value: Any) -> Any:
    if value in (None, []):
        return None
    raise _validation_error("is not supported")


def _check_depth(arguments: str) -> str:
    """Check the nesting of arguments.

    A template gets them parsed if they are JSON; those that a model wrote may not be.
    """
    try:
        value = from_json(arguments)
    except ValueError:
        return arguments
    level = [value]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for node in level for child in _get_children(node)]
        if not level:
            return arguments
    raise _validation_error(f"should nest at most {MAX_SCHEMA_DEPTH} objects and arrays")


def _get_children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _validation_error(text: str) -> PydanticCustomError:
    return PydanticCustomError("message", "{text}", {"text": text})


_Absent = Annotated[None, BeforeValidator(_check_absent), WithJsonSchema({"type": "null"})]


class CalledFunction(StrictModel):
    """``tool_calls[].function`` of an earlier reply."""

    name: str = Field(min_length=1)
    arguments: Annotated[str, AfterValidator(_check_depth)]


class EarlierCall(StrictModel):
    """``tool_calls[]`` of an earlier reply."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None  # from streamed chunks; some clients do not remove it

    def to_prompt(self) -> dict[str, Any]:
        """Return the call in OpenAI's form."""
        return {"id": self.id, "type": self.type, "function": self.function.model_dump()}


class Message(StrictModel):
    """Message of a chat. Only the assistant's messages may have no content."""

    role: Role
    content: Annotated[
        str | list[dict[str, Any]] | None,
        BeforeValidator(_check_content),
        WithJsonSchema(_CONTENT_SCHEMA),
    ] = None
    name: str | None = None
    tool_call_id: str | None = None
    # Two names of an earlier reply's thought, which the model's template keeps or drops.
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: _Absent = None
    audio: _Absent = None
    tool_calls: list[EarlierCall] | None = None
    function_call: _Absent = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise _validation_error(f"content is required in a message of role {self.role!r}")
        if self.role != "assistant" and (self.reasoning or self.reasoning_content):
            raise _validation_error("reasoning belongs to messages of role 'assistant' only")
        if self.reasoning and self.reasoning_content not in (None, self.reasoning):
            raise _validation_error("reasoning and reasoning_content differ; send one of them")
        if self.role != "assistant" and self.tool_calls:
            raise _validation_error("tool_calls belong to messages of role 'assistant' only")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise _validation_error(
                "tool_call_id belongs to messages of role 'tool', and only there"
            )
        return self

    def to_prompt(self) -> dict[str, Any]:
        """Return the message in the form that the chat template gets."""
        shown = ("role", "content", "name", "tool_call_id")
        prompt = {key: value for key in shown if (value := getattr(self, key)) is not None}
        if thought := self.reasoning_content or self.reasoning:
            prompt["reasoning_content"] = thought
        if self.tool_calls:
            prompt["tool_calls"] = [call.to_prompt() for call in self.tool_calls]
        return prompt


def check_tool_results(messages: Sequence[Message]) -> None:
    """Check that each tool result belongs to a call in an earlier message.

    Raises:
        PydanticCustomError: one does not; the error is for the field ``messages``.
    """
    known: set[str] = set()
    for place, message in enumerate(messages):
        if message.tool_call_id is not None and message.tool_call_id not in known:
            raise _validation_error(
                f"[{place}].tool_call_id should be the id of a call in an earlier "
                "message's tool_calls"
            )
        known.update(call.id for call in message.tool_calls or ())
