"""Identity of an engine: its model, tokenizer and markers, as digests that a front end compares.

A front end sends the identity that it expects (:data:`IDENTITY_KEY` in ``extra_args``) with a
request of its own, not with those of its clients. Does not see weights: two checkpoints of the same
shape and tokenizer are the same to it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.config import ModelConfig
from vllm.sampling_params import SamplingParams

from thinking.markers.profile import MarkerProfile

IDENTITY_KEY = "thinking_engine"
# What another number of layers, words or dimensions would change.
_SHAPE = (
    "model_type",
    "architectures",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """Digests, in hexadecimal."""

    model: str
    tokenizer: str
    markers: str

    def to_dict(self) -> dict[str, str]:
        """Return a plain dict for ``extra_args``."""
        return asdict(self)


_OTHERS = {
    "model": "another model",
    "tokenizer": "another tokenizer",
    "markers": "other thinking markers (THINKING_SERVER_THINKING_START and its like)",
}


class OtherEngineError(ValueError):
    """The engine is not the one that a front end expects; the message says in what."""


def identify(
    model: ModelConfig, tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile
) -> EngineIdentity:
    """Return the identity of an engine of this model. Reads the whole vocabulary."""
    text = model.hf_text_config
    shape = {name: getattr(text, name, None) for name in _SHAPE}
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    return EngineIdentity(_digest(shape), _digest(words), _digest(profile.to_dict()))


class OwnEngine:
    """The engine that this process serves, once it is configured.

    Of the class: vLLM calls the checks of a request without its configuration.
    """

    identity: EngineIdentity | None = None
    vocab_size: int | None = None


def check_identity(params: SamplingParams) -> None:
    """Reject a request that expects another engine; one that expects none is let through.

    Raises:
        OtherEngineError: model, tokenizer or markers are others, or not known here; or `params`
            have no identity where one should be.
    """
    expected = (params.extra_args or {}).get(IDENTITY_KEY)
    if expected is None:
        return
    if not isinstance(expected, Mapping):
        raise OtherEngineError(f"{IDENTITY_KEY} must be an object")
    if OwnEngine.identity is None:
        raise OtherEngineError("this engine was not configured by thinking-server's plugin")
    own = OwnEngine.identity.to_dict()
    for field in fields(EngineIdentity):
        if own[field.name] != expected.get(field.name):
            raise OtherEngineError(f"this engine has {_OTHERS[field.name]}")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
