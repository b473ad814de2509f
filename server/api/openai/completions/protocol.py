"""The body of ``POST /v1/completions``: OpenAI's older endpoint, with vLLM's fields.

How much may be thought: see ``server.dialects``. What needs the model is checked later.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from server.api.fields.sampling import get_requested_sampling
from server.api.openai.completions.prompt_field import MAX_ALL_CHOICES, Prompts
from server.api.openai.reply_fields import MAX_TOP_LOGPROBS, ReplyFields, contradiction_error
from server.api.openai.vllm_fields import accept_only

# OpenAI's default of `max_tokens`; a thought comes on top of it.
DEFAULT_ANSWER_TOKENS = 16
_SUFFIX = "is not supported: this server's models write on, they fill no gap"


class CompletionRequest(ReplyFields):
    """What to go on with, and how to sample."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "max_completion_tokens": "this endpoint has 'max_tokens'",
            "messages": "this endpoint has 'prompt'; conversations go to /v1/chat/completions",
            "top_logprobs": "this endpoint has 'logprobs', a number",
        }
    )

    prompt: Prompts = None  # type: ignore[assignment]  # the validator makes a list of it
    max_tokens: int | None = Field(
        None,
        ge=0,
        description="Thought and answer together; left out: an answer of at most "
        f"{DEFAULT_ANSWER_TOKENS} tokens, after a thought within its budget. 0 goes with echo.",
    )
    logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_TOP_LOGPROBS,
        description="Alternatives at each position, beside the token itself.",
    )
    echo: bool | None = Field(None, description="The prompt first; with its logprobs, if asked.")
    best_of: int | None = Field(None, description="Taken where it is n: all are returned.")
    add_special_tokens: bool | None = Field(
        None, description="false: nothing that the tokenizer puts before a text."
    )
    suffix: Annotated[Any, *accept_only("", why=_SUFFIX)] = None
    prompt_embeds: Annotated[Any, *accept_only()] = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise contradiction_error("max_tokens should be at least 1, or go with echo: true")
        if self.best_of is not None and self.best_of != self.num_choices:
            raise contradiction_error("best_of: should be n: choosing among more is not supported")
        if self.num_choices * len(self.prompt) > MAX_ALL_CHOICES:
            raise contradiction_error(
                f"prompt, n: at most {MAX_ALL_CHOICES} choices of all prompts together"
            )
        return self

    @property
    def num_choices(self) -> int:
        """Of each prompt."""
        return self.n or 1

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling fields that were sent."""
        return get_requested_sampling(self, num_logprobs=self.logprobs)

    @property
    def max_answer_tokens(self) -> int | None:
        """The limit of an answer alone, where the body has none for the whole reply."""
        if self.max_tokens is not None:
            return None
        options = self.thinking_options
        reserve = None if options is None else options.answer_reserve
        return max(DEFAULT_ANSWER_TOKENS, reserve or 0)

    @property
    def generates(self) -> bool:
        """False: the prompt is measured only."""
        return self.max_tokens != 0
