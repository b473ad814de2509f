"""What a reply follows: a conversation or a plain text. Renders nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in OpenAI's chat form, for the model's template.

    `template_kwargs` are the caller's, for the template, and so are `tools` (OpenAI's form), put
    here by ``server.tools.prompting``. `field` is where the messages stand in the body.
    """

    messages: Sequence[Mapping[str, Any]]
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    field: str = "messages"
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class PlainPrompt:
    """A text that the reply goes on with, or its token ids; no template.

    Control tokens in a text are plain text; among token ids they are what they are.
    """

    content: str | Sequence[int]
    field: str = "prompt"
