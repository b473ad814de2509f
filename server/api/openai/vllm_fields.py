"""Fields that vLLM has beside OpenAI's, on both of its completion endpoints.

What concerns tokens concerns those of the answer here. The rest is taken where it changes
nothing, and refused by name where it would.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema

MAX_STOP_TOKEN_IDS = 128
MAX_ALLOWED_TOKEN_IDS = 10_000
_TOKEN_ID = Annotated[int, Field(ge=0)]
_SEARCH = "is not supported: see n, and thinking_options.strategy"
_TEXT = "is not supported: special tokens and stop strings give no text"
_IDS = "is not supported: it would count hidden tokens; see logprobs"
_PROMPT_LOGPROBS = "is not supported: see echo with logprobs of /v1/completions"
_BAD_WORDS = "is not supported: see logit_bias"
_LOOPS = "is not supported: see thinking_options.loop_guard"
_REQUEST_ID = "is not supported: send it as the header x-request-id"


def accept_only(
    *values: Any, why: str = "is not supported"
) -> tuple[BeforeValidator, WithJsonSchema]:
    """Annotations of a field that is taken with these values only."""
    return OnlyValues(*values, why=why), to_enum_schema(*values)


class VllmFields(StrictModel):
    """vLLM's sampling fields, and its rarer ones."""

    ignore_eos: bool | None = Field(None, description="The answer goes on to its limit.")
    stop_token_ids: list[_TOKEN_ID] | None = Field(
        None, max_length=MAX_STOP_TOKEN_IDS, description="They end the answer; no thought."
    )
    min_tokens: int | None = Field(
        None, ge=0, description="Fewest tokens; taken only where nothing is thought."
    )
    allowed_token_ids: list[_TOKEN_ID] | None = Field(
        None,
        min_length=1,
        max_length=MAX_ALLOWED_TOKEN_IDS,
        description="No other tokens; taken only where nothing is thought.",
    )
    # True to ignore: it changes no reply of this server.
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
    request_id: Annotated[Any, *accept_only(why=_REQUEST_ID)] = None
    truncate_prompt_tokens: Annotated[Any, *accept_only()] = None
    truncation_side: Annotated[Any, *accept_only()] = None
    priority: Annotated[Any, *accept_only(0)] = None
    watermarking: Annotated[Any, *accept_only(False)] = None
    stream_interval: Annotated[Any, *accept_only(1)] = None
    cache_salt: Annotated[Any, *accept_only()] = None
    kv_transfer_params: Annotated[Any, *accept_only()] = None
    ec_transfer_params: Annotated[Any, *accept_only()] = None
    routed_experts_prompt_start: Annotated[Any, *accept_only(0)] = None
    mm_payload: Annotated[Any, *accept_only()] = None
    return_mm_kwargs: Annotated[Any, *accept_only(False)] = None
    vllm_xargs: Annotated[Any, *accept_only({})] = None
