"""Prompts before rendering: a conversation or plain text. Renders nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in OpenAI's chat format, for the model's chat template.

    `template_kwargs` are the caller's template arguments. `tools` (OpenAI's format) are set by
    ``server.prompt.tool_prompt``. `field` is the request field that holds the messages.
    `continues`: the reply continues the last message, which is the assistant's.
    `begins_reply` is False if the prompt should end after the messages, without the start of a
    reply, for example to tokenize them.
    """

    messages: Sequence[Mapping[str, Any]]
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    field: str = "messages"
    continues: bool = False
    begins_reply: bool = True
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class PlainPrompt:
    """A text, or its token ids, that the reply continues; no chat template is applied.

    Control tokens spelled in a text are encoded as plain text; token ids are used unchanged.
    `begins`: add the tokens that the tokenizer puts before a text, such as BOS.
    """

    content: str | Sequence[int]
    field: str = "prompt"
    begins: bool = True

    @property
    def continues(self) -> bool:
        """True: the reply continues the text, since no template ends it or opens a thought."""
        return True
