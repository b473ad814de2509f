"""The body of ``POST /v1/thinking/map``. Does not know the model."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.openai.messages import Message
from server.engine.protocol import MAX_SEED
from server.prompt.messages import MAX_MESSAGES

MAX_WEIGHTS = 16
DEFAULT_WEIGHT = 0.5
_WEIGHT_SCHEMA = {"type": "number", "minimum": 0, "maximum": 1}
_THOUGHT_TOKENS = "did you mean 'thought_tokens'?"


def _check_weights(value: Any) -> Any:
    """Check one or several weights; the errors of a union type would name each of its types."""
    weights = value if isinstance(value, list) else [value]
    if not 1 <= len(weights) <= MAX_WEIGHTS or not all(map(_is_weight, weights)):
        text = f"should be a number from 0 to 1, or a list of 1 to {MAX_WEIGHTS} of them"
        raise PydanticCustomError("weights", "{text}", {"text": text})
    return value


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


class MapRequest(StrictModel):
    """Text to read, and how much to think at each of its positions."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        dict.fromkeys(
            ("max_thinking_tokens", "thinking_budget", "thinking_token_budget", "budget_tokens"),
            _THOUGHT_TOKENS,
        )
        | {
            "prompt": "the text to map is 'text'",
            "thinking": _THOUGHT_TOKENS,
            "thinking_options": "send 'mix' at the top level",
        }
    )

    model: str
    text: Annotated[
        str,
        Field(
            min_length=1,
            description="The text; each of its tokens is a position. Control tokens in it are "
            "plain text.",
        ),
    ]
    messages: Annotated[
        list[Message] | None,
        Field(
            min_length=1,
            max_length=MAX_MESSAGES,
            description="The conversation that the text replies to.",
        ),
    ] = None
    thought_tokens: Annotated[
        int | None,
        Field(ge=1, description="Maximum tokens of a thought, markers included. Default: 32."),
    ] = None
    mix: Annotated[
        float | list[float],
        BeforeValidator(_check_weights),
        WithJsonSchema(
            {
                "anyOf": [
                    _WEIGHT_SCHEMA,
                    {
                        "type": "array",
                        "items": _WEIGHT_SCHEMA,
                        "minItems": 1,
                        "maxItems": MAX_WEIGHTS,
                    },
                ],
                "default": DEFAULT_WEIGHT,
            }
        ),
    ] = DEFAULT_WEIGHT
    temperature: Annotated[
        float | None,
        Field(ge=0, le=2, description="Temperature of the thoughts. Default: the model's."),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=-MAX_SEED - 1,
            le=MAX_SEED,
            description="Seed of the first thought; each next thought uses the next number.",
        ),
    ] = None
    include_reasoning: Annotated[bool | None, Field(description="Show the thoughts.")] = None
    stream: Annotated[
        bool | None, Field(description="Send an event for each finished position.")
    ] = None

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights in `mix`, also if it is a single number."""
        return tuple(self.mix) if isinstance(self.mix, list) else (self.mix,)
