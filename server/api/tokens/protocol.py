"""The bodies of ``POST /tokenize`` and ``POST /detokenize``, as in vLLM. Encodes nothing."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from server.api.body import StrictModel
from server.api.openai.messages import Message
from server.api.openai.reply_fields import contradiction_error
from server.api.openai.tools import Tools, to_tool_use
from server.api.openai.vllm_fields import accept_only
from server.prompt.conversation import Conversation, PlainPrompt
from server.prompt.messages import MAX_MESSAGES
from server.tools.tool import ToolUse

_OF_MESSAGES = (
    "add_generation_prompt",
    "continue_final_message",
    "chat_template_kwargs",
    "tools",
)
_TEMPLATE = "is not supported: the model's own template is used; see chat_template_kwargs"


class TokenizeRequest(StrictModel):
    """Body of ``/tokenize``: a text, or a conversation."""

    model: str | None = Field(None, description="Default: the served model.")
    prompt: str | None = None
    messages: list[Message] | None = Field(None, min_length=1, max_length=MAX_MESSAGES)
    add_special_tokens: bool | None = Field(
        None, description="false: leave out the special tokens that the tokenizer adds to a text."
    )
    return_token_strs: bool | None = None
    add_generation_prompt: bool | None = Field(
        None, description="false: leave out the tokens that the template adds before a reply."
    )
    continue_final_message: bool | None = Field(
        None, description="Continue the last message, which must be the assistant's."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Arguments of the model's chat template."
    )
    tools: Tools | None = Field(None, description="Functions that the model may call.")
    chat_template: Annotated[Any, *accept_only(why=_TEMPLATE)] = None
    media_io_kwargs: Annotated[Any, *accept_only({})] = None
    mm_processor_kwargs: Annotated[Any, *accept_only({})] = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise contradiction_error("send either prompt or messages")
        if self.messages is None:
            self._check_prompt_fields()
            return self
        if self.add_special_tokens:
            raise contradiction_error(
                "add_special_tokens needs prompt: a template adds its own special tokens"
            )
        if self.continue_final_message and self.add_generation_prompt:
            raise contradiction_error(
                "continue_final_message and add_generation_prompt: send one of them"
            )
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise contradiction_error(
                "continue_final_message needs a last message of role 'assistant'"
            )
        return self

    def _check_prompt_fields(self) -> None:
        for name in _OF_MESSAGES:
            if getattr(self, name) is not None:
                raise contradiction_error(f"{name} needs messages")

    @property
    def tool_use(self) -> ToolUse | None:
        """Use of the tools; None: the request has no tools."""
        return to_tool_use(self.tools, None, parallel=None)

    def to_prompt(self) -> Conversation | PlainPrompt:
        """Return the prompt to encode, as a request for a reply would have it."""
        if self.messages is None:
            return PlainPrompt(self.prompt or "", begins=self.add_special_tokens is not False)
        return Conversation(
            [message.to_prompt() for message in self.messages],
            self.chat_template_kwargs or {},
            continues=bool(self.continue_final_message),
            begins_reply=self.add_generation_prompt is not False,
        )


class DetokenizeRequest(StrictModel):
    """Body of ``/detokenize``: token ids."""

    model: str | None = Field(None, description="Default: the served model.")
    tokens: list[Annotated[int, Field(ge=0)]]
