"""What a reply follows: a conversation or a plain text. Renders nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in OpenAI's chat form, for the model's template.

    `template_kwargs` are the caller's, for the template. `tools` (OpenAI's form) are put here by
    ``server.prompt.tool_prompt``. `field` is where the messages stand in the body.
    `continues`: the last message, an assistant's, is the beginning of the reply. `begins_reply`
    false: nothing of a reply follows the messages; for looking at them only.
    """

    messages: Sequence[Mapping[str, Any]]
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    field: str = "messages"
    continues: bool = False
    begins_reply: bool = True
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class PlainPrompt:
    """A text that the reply goes on with, or its token ids; no template.

    Control tokens in a text are plain text; among token ids they are what they are.
    `begins`: what the tokenizer puts before a text is put before this one.
    """

    content: str | Sequence[int]
    field: str = "prompt"
    begins: bool = True

    @property
    def continues(self) -> bool:
        """Whether the reply goes on with a text: no template has ended it, nor opened a thought."""
        return True
