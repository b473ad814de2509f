"""The body of ``POST /v1/completions``: OpenAI's older endpoint, with vLLM's fields.

Does not know the thinking fields, which ``server.dialects`` reads, nor the model: what depends on
it is checked in ``server.reply``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from server.api.fields.sampling import get_requested_sampling
from server.api.openai.completions.prompt_field import MAX_ALL_CHOICES, Prompts
from server.api.openai.reply_fields import MAX_TOP_LOGPROBS, ReplyFields, contradiction_error
from server.api.openai.vllm_fields import accept_only

# OpenAI's default of `max_tokens`; here, it does not include the thought.
DEFAULT_ANSWER_TOKENS = 16
_SUFFIX = "is not supported: this server's models continue a text, they do not fill gaps"


class CompletionRequest(ReplyFields):
    """Body of ``/v1/completions``."""

    right_names: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "max_completion_tokens": "use 'max_tokens'",
            "messages": "use 'prompt', or send conversations to /v1/chat/completions",
            "top_logprobs": "use 'logprobs', which is a number here",
        }
    )

    prompt: Prompts = None  # type: ignore[assignment]  # the validator returns a list
    max_tokens: int | None = Field(
        None,
        ge=0,
        description="Maximum number of tokens of thought and answer together. Left out: an answer "
        f"of at most {DEFAULT_ANSWER_TOKENS} tokens, after a thought within its budget. 0 needs "
        "echo: true.",
    )
    logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_TOP_LOGPROBS,
        description="Number of alternatives at each position, in addition to the token itself.",
    )
    echo: bool | None = Field(
        None, description="Return the prompt before the answer, with its logprobs if requested."
    )
    best_of: int | None = Field(
        None, description="Accepted if it equals n: all choices are returned."
    )
    add_special_tokens: bool | None = Field(
        None, description="false: leave out the special tokens that the tokenizer adds to a text."
    )
    suffix: Annotated[Any, *accept_only("", why=_SUFFIX)] = None
    prompt_embeds: Annotated[Any, *accept_only()] = None

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if self.max_tokens == 0 and not self.echo:
            raise contradiction_error("max_tokens should be at least 1; 0 needs echo: true")
        if self.best_of is not None and self.best_of != self.num_choices:
            raise contradiction_error(
                "best_of: should equal n; choosing the best of more is not supported"
            )
        if self.num_choices * len(self.prompt) > MAX_ALL_CHOICES:
            raise contradiction_error(
                f"prompt, n: at most {MAX_ALL_CHOICES} choices of all prompts together"
            )
        return self

    @property
    def num_choices(self) -> int:
        """Number of choices for each prompt."""
        return self.n or 1

    @property
    def sampling(self) -> dict[str, Any]:
        """Sampling fields that were sent."""
        return get_requested_sampling(self, num_logprobs=self.logprobs)

    @property
    def max_answer_tokens(self) -> int | None:
        """Limit of the answer alone; None: the body limits the whole reply."""
        if self.max_tokens is not None:
            return None
        options = self.thinking_options
        reserve = None if options is None else options.answer_reserve
        return max(DEFAULT_ANSWER_TOKENS, reserve or 0)

    @property
    def generates(self) -> bool:
        """False if only the prompt's log-probabilities are requested."""
        return self.max_tokens != 0
