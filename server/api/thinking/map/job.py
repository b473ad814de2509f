"""Parameters of one map, and the checks that depend on the model, the server and the key.

Runs nothing.
"""

import secrets
from dataclasses import dataclass, replace

from server.api.thinking.map.measured_text import MeasuredText, encode_measured_text
from server.api.thinking.map.protocol import MapRequest
from server.engine.protocol import Engine, SamplingSettings
from server.errors.api import BadRequestError
from server.keys.key import AccessKey
from server.keys.permissions import check_model, check_shows_thoughts
from server.model.served_model import ServedModel
from server.reply.sampling import to_sampling_settings
from server.settings.settings import ServerSettings
from thinking.markers.profile import MarkerProfile
from thinking.plan import count_marker_tokens

DEFAULT_THOUGHT_TOKENS = 32
# Number of alternatives at a position, for mixing; vLLM's default maximum.
MAX_TOP_LOGPROBS = 20
NEVER = -100.0  # logit bias


@dataclass(frozen=True, slots=True)
class MapJob:
    """Parameters of a map. `sampling` applies to the thoughts; its seed is the first thought's.

    `thought_tokens` is the maximum number of hidden tokens of a thought, markers included.
    """

    map_id: str
    text: MeasuredText
    thought_tokens: int
    weights: tuple[float, ...]
    sampling: SamplingSettings
    shows_thought: bool

    def get_sampling_at(self, index: int) -> SamplingSettings:
        """Return the sampling of the thought before the text's `index`-th token."""
        return self.sampling.with_seed_offset(index)


async def prepare_map(
    settings: ServerSettings, model: ServedModel, key: AccessKey, body: MapRequest
) -> MapJob:
    """Check `body` against the model, the server and the key, and encode its text.

    Raises:
        ApiError: 400, 403 or 404; see the messages.
        PromptError: the chat template rejects the messages.
    """
    engine = model.engine
    check_model(key, model.names, body.model)
    if body.include_reasoning:
        check_shows_thoughts(key, server_shows=settings.show_thoughts, param="include_reasoning")
    ceiling = key.combine_ceiling(model.policy.model_ceiling)
    thought_tokens = _resolve_thought_tokens(body, ceiling, engine.profile)
    messages = None
    if body.messages is not None:
        messages = [message.to_prompt() for message in body.messages]
    text = await model.run_in_tokenizer_thread(
        lambda: encode_measured_text(
            engine.tokenizer, engine.profile, body.text, messages, model.guarded_texts
        )
    )
    _check_lengths(text, thought_tokens, settings.max_map_tokens, engine.max_model_len)
    return MapJob(
        map_id=f"map-{secrets.token_hex(16)}",
        text=text,
        thought_tokens=thought_tokens,
        weights=body.weights,
        sampling=_to_sampling(body, engine, thought_tokens),
        shows_thought=bool(body.include_reasoning),
    )


def _resolve_thought_tokens(body: MapRequest, ceiling: int | None, profile: MarkerProfile) -> int:
    least = count_marker_tokens(profile.inside_text) + 1
    requested = body.thought_tokens
    if requested is None:
        default = max(DEFAULT_THOUGHT_TOKENS, least)
        requested = default if ceiling is None else min(default, ceiling)
    if requested < least:
        problem = f"should be at least {least}: this model's markers, and one token of thought"
        raise _thought_tokens_error(problem)
    if ceiling is not None and requested > ceiling:
        raise _thought_tokens_error(
            f"should be at most {ceiling}, the ceiling of this server or key"
        )
    return requested


def _thought_tokens_error(problem: str) -> BadRequestError:
    return BadRequestError(
        f"thought_tokens: {problem}", param="thought_tokens", code="invalid_value"
    )


def _check_lengths(text: MeasuredText, thought_tokens: int, most: int, context: int) -> None:
    length, num_prompt = len(text.token_ids), len(text.prompt_token_ids)
    if length > most:
        raise BadRequestError(
            f"text: has {length} tokens; this server maps at most {most} (--max-map-tokens)",
            param="text",
            code="text_too_long",
        )
    if num_prompt + length + thought_tokens > context:
        raise BadRequestError(
            f"text: {num_prompt} tokens before it, its own {length} and a thought of "
            f"{thought_tokens} do not fit into this model's context of {context}",
            param="text",
            code="context_length_exceeded",
        )


def _to_sampling(body: MapRequest, engine: Engine, thought_tokens: int) -> SamplingSettings:
    requested = {
        name: value
        for name in ("temperature", "seed")
        if (value := getattr(body, name)) is not None
    }
    return replace(
        to_sampling_settings(requested, engine, thought_tokens + 1),  # and the text's token
        # Such a token would end the thought, in place of the text's token.
        logit_bias=dict.fromkeys(engine.profile.tool_call_token_ids, NEVER),
        num_logprobs=min(MAX_TOP_LOGPROBS, engine.max_logprobs),
    )
