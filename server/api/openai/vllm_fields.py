"""Fields that vLLM adds to OpenAI's, on both of its completion endpoints.

Fields about tokens apply to the answer's tokens only. The other fields are accepted if they have no
effect, and refused by name otherwise. Does not know the model.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema
from server.api.fields.priority import Priority

MAX_STOP_TOKEN_IDS = 128
MAX_ALLOWED_TOKEN_IDS = 10_000
_TOKEN_ID = Annotated[int, Field(ge=0)]
_SEARCH = "is not supported: see n, and thinking_options.strategy"
_TEXT = "is not supported: special tokens and stop strings give no text"
_IDS = "is not supported: it would count hidden tokens; see logprobs"
_PROMPT_LOGPROBS = "is not supported: see echo with logprobs of /v1/completions"
_BAD_WORDS = "is not supported: see logit_bias"
_LOOPS = "is not supported: see thinking_options.loop_guard"


def accept_only(
    *values: Any, why: str = "is not supported"
) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return the annotations of a field that is accepted with these values only."""
    return OnlyValues(*values, why=why), to_enum_schema(*values)


class VllmFields(StrictModel):
    """Body with the fields that vLLM adds."""

    ignore_eos: bool | None = Field(None, description="Generate up to the limit of the answer.")
    stop_token_ids: list[_TOKEN_ID] | None = Field(
        None,
        max_length=MAX_STOP_TOKEN_IDS,
        description="Tokens that end the answer, but not a thought.",
    )
    min_tokens: int | None = Field(
        None, ge=0, description="Minimum number of tokens; accepted only without thinking."
    )
    allowed_token_ids: list[_TOKEN_ID] | None = Field(
        None,
        min_length=1,
        max_length=MAX_ALLOWED_TOKEN_IDS,
        description="The only tokens that may be generated; accepted only without thinking.",
    )
    priority: Priority = None
    # Ignored, as it does not affect the replies of this server.
    session_id: str | None = None

    use_beam_search: Annotated[Any, *accept_only(False, why=_SEARCH)] = None
    length_penalty: Annotated[Any, *accept_only(1.0, 1, why=_SEARCH)] = None
    skip_special_tokens: Annotated[Any, *accept_only(True, why=_TEXT)] = None
    spaces_between_special_tokens: Annotated[Any, *accept_only(True, why=_TEXT)] = None
    include_stop_str_in_output: Annotated[Any, *accept_only(False, why=_TEXT)] = None
    return_token_ids: Annotated[Any, *accept_only(False, why=_IDS)] = None
    return_tokens_as_token_ids: Annotated[Any, *accept_only(False, why=_IDS)] = None
    return_token_offsets: Annotated[Any, *accept_only(False)] = None
    logprob_token_ids: Annotated[Any, *accept_only([])] = None
    prompt_logprobs: Annotated[Any, *accept_only(why=_PROMPT_LOGPROBS)] = None
    bad_words: Annotated[Any, *accept_only([], why=_BAD_WORDS)] = None
    repetition_detection: Annotated[Any, *accept_only(why=_LOOPS)] = None
    truncate_prompt_tokens: Annotated[Any, *accept_only()] = None
    truncation_side: Annotated[Any, *accept_only()] = None
    watermarking: Annotated[Any, *accept_only(False)] = None
    stream_interval: Annotated[Any, *accept_only(1)] = None
    cache_salt: Annotated[Any, *accept_only()] = None
    kv_transfer_params: Annotated[Any, *accept_only()] = None
    ec_transfer_params: Annotated[Any, *accept_only()] = None
    routed_experts_prompt_start: Annotated[Any, *accept_only(0)] = None
    mm_payload: Annotated[Any, *accept_only()] = None
    return_mm_kwargs: Annotated[Any, *accept_only(False)] = None
    vllm_xargs: Annotated[Any, *accept_only({})] = None
