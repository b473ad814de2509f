"""Messages of a chat.

Accepts earlier replies, ours and those of other servers, as clients send them back. What has no
effect on the prompt is accepted and not used. Does not decide what becomes of earlier thoughts and
tool calls: the chat template keeps or drops them.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import from_json

from server.api.body import StrictModel
from server.api.foreign_kinds import mark_part, mark_tool
from server.api.openai.content_parts import (
    CONTENT_SCHEMA,
    AnyPart,
    content_error,
    get_history_parts,
    parse_content,
    to_prompt_content,
)
from server.api.openai.earlier_thoughts import THOUGHT_FIELDS, find_thought, find_unreadable
from server.constraint.json_schema import MAX_SCHEMA_DEPTH

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_Text = WithJsonSchema({"type": ["string", "null"]})
_NO_ARGUMENTS = "{}"


def to_json_text(arguments: Any) -> Any:
    """Return arguments as JSON text; some clients send an object, or nothing.

    A template gets them parsed if they are JSON; those that a model wrote may not be.
    """
    if arguments in (None, ""):
        return _NO_ARGUMENTS
    if isinstance(arguments, str):
        try:
            value = from_json(arguments)
        except ValueError:
            return arguments
        _check_depth(value)
        return arguments
    if not isinstance(arguments, dict):
        return arguments  # an error of its type
    _check_depth(arguments)
    return json.dumps(arguments)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for node in level for child in _get_children(node)]
        if not level:
            return
    raise content_error(f"should nest at most {MAX_SCHEMA_DEPTH} objects and arrays")


def _get_children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class CalledFunction(StrictModel):
    """``tool_calls[].function`` of an earlier reply."""

    name: str = Field(min_length=1)
    arguments: Annotated[
        str, BeforeValidator(to_json_text), WithJsonSchema({"type": ["string", "object", "null"]})
    ] = _NO_ARGUMENTS
    parsed_arguments: Any = None  # added by OpenAI's client

    def to_prompt(self) -> dict[str, Any]:
        """Return the function in OpenAI's form."""
        return {"name": self.name, "arguments": self.arguments}


class CalledCustomTool(StrictModel):
    """``tool_calls[].custom`` of an earlier reply: a tool that takes a text."""

    name: str = Field(min_length=1)
    input: str


class EarlierCall(StrictModel):
    """``tool_calls[]`` of an earlier reply."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CalledCustomTool | None = None
    index: Any = None  # from streamed chunks; some clients do not remove it
    # Added by Gemini's and LiteLLM's clients.
    extra_content: Any = None
    provider_specific_fields: Any = None

    @model_validator(mode="after")
    def _check_called(self) -> Self:
        if self.is_used and (self.function is None) == (self.custom is None):
            raise content_error("function is required, or custom for a call of such a tool")
        return self

    @property
    def is_used(self) -> bool:
        """False for a call of a tool that another server ran."""
        return self.type in (None, "function", "custom")

    def to_prompt(self, place: int) -> dict[str, Any]:
        """Return the call in OpenAI's form; without an id, it gets one by its `place`."""
        if self.custom is not None:
            arguments = json.dumps({"input": self.custom.input})
            function = {"name": self.custom.name, "arguments": arguments}
        else:
            assert self.function is not None
            function = self.function.to_prompt()
        return {"id": self.id or f"call_{place}", "type": "function", "function": function}


class Message(StrictModel):
    """Message of a chat. Only the assistant's messages and tool results may have no content."""

    role: Role
    content: Annotated[str | list[AnyPart] | None, WithJsonSchema(CONTENT_SCHEMA)] = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[EarlierCall] | None = None
    function_call: CalledFunction | None = Field(
        None, description="Older form of `tool_calls`, in earlier replies."
    )
    # An earlier reply's thought under its names, which the model's template keeps or drops.
    reasoning: Annotated[Any, _Text] = None
    reasoning_content: Annotated[Any, _Text] = None
    thinking: Annotated[Any, _Text] = None
    thinking_blocks: Any = Field(None, description="As LiteLLM returns it.")
    reasoning_details: Any = Field(None, description="As OpenRouter returns it.")
    refusal: str | None = None
    # Added to replies by servers or clients; not used.
    annotations: Any = None
    audio: Any = None
    images: Any = None
    parsed: Any = None
    provider_specific_fields: Any = None

    @field_validator("content", mode="plain")
    @classmethod
    def _parse_content(cls, content: Any, info: ValidationInfo) -> str | list[AnyPart] | None:
        return parse_content(content, info.data.get("role"))

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        is_reply = self.role == "assistant"
        if self.content is None and self.role not in ("assistant", "tool", "function"):
            raise content_error(f"content is required in a message of role {self.role!r}")
        if not is_reply and any(self._get_thought_fields().values()):
            raise content_error("reasoning belongs to messages of role 'assistant' only")
        if not is_reply and (self.tool_calls or self.function_call):
            raise content_error("tool_calls belong to messages of role 'assistant' only")
        if self.role not in ("tool", "function") and self.tool_call_id is not None:
            raise content_error("tool_call_id belongs to messages of role 'tool' only")
        if self.role == "function" and self.name is None:
            raise content_error("name is required in a message of role 'function'")
        return self

    def to_prompt(self) -> dict[str, Any]:
        """Return the message in the form that the chat template gets."""
        if self.role == "function":  # the older form of a tool result, whose id is the name
            content = to_prompt_content(self.content) or ""
            return {"role": "tool", "content": content, "tool_call_id": self.name}
        content = to_prompt_content(self.content)
        if content is None and (self.refusal or self.role == "tool"):
            content = self.refusal or ""
        prompt = {
            "role": self.role,
            "content": content,
            "name": self.name,
            "tool_call_id": self.tool_call_id,
            "reasoning_content": self._find_thought() or None,
            "tool_calls": self._list_calls() or None,
        }
        return {key: value for key, value in prompt.items() if value is not None}

    def find_unused(self) -> Iterator[str]:
        """Yield the paths, inside the message, of history that is left out of the prompt."""
        yield from find_unreadable(self._get_thought_fields())
        for place, part in get_history_parts(self.content):
            if not part.is_used:
                yield mark_part(f"content[{place}]", part.type)
        for place, call in enumerate(self.tool_calls or ()):
            if not call.is_used:
                yield mark_tool(f"tool_calls[{place}]", call.type or "")
        if self.audio is not None:
            yield "audio"

    def _list_calls(self) -> list[dict[str, Any]]:
        sent = enumerate(self.tool_calls or ())
        calls = [call.to_prompt(place) for place, call in sent if call.is_used]
        if self.function_call is not None and not calls:
            function = self.function_call
            calls.append(
                {"id": function.name, "type": "function", "function": function.to_prompt()}
            )
        return calls

    def _find_thought(self) -> str:
        parts = [part.model_dump() for _, part in get_history_parts(self.content) if part.is_used]
        return find_thought(self._get_thought_fields(), parts)

    def _get_thought_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in THOUGHT_FIELDS}
