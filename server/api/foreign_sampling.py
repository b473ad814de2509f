"""Sampling fields of other servers that this one cannot carry out.

A value that switches such a field off changes nothing and is accepted; any other is refused, since
the reply would not be sampled as the client asked. Sources: the sampling options of llama.cpp,
Ollama, text-generation-webui, KoboldCpp, Aphrodite, TabbyAPI and transformers' GenerationConfig.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Name → the values that switch it off.
FOREIGN_SAMPLING: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "adaptive_decay": (),
        "adaptive_target": (-1,),
        "custom_token_bans": ("", []),
        "banned_tokens": ([],),
        "best_of": (1,),
        "cfg_scale": (1,),
        "diversity_penalty": (0,),
        "dry_allowed_length": (),
        "dry_base": (),
        "dry_multiplier": (0,),
        "dry_penalty_last_n": (),
        "dry_range": (),
        "dry_sequence_breakers": (),
        "dynamic_temperature": (False,),
        "dynatemp_exponent": (),
        "dynatemp_high": (),
        "dynatemp_low": (),
        "dynatemp_range": (0,),
        "encoder_repetition_penalty": (1,),
        "epsilon_cutoff": (0,),
        "eta_cutoff": (0,),
        "exponential_decay_length_penalty": (),
        "frequency_penalty_range": (),
        "guidance_scale": (1,),
        "logit_bias_exp": ({}, []),
        "logits_processors": ([],),
        "min_keep": (),
        "mirostat": (0,),
        "mirostat_eta": (),
        "mirostat_mode": (0,),
        "mirostat_tau": (),
        "negative_prompt": ("",),
        "no_repeat_ngram_size": (0,),
        "nsigma": (0,),
        "num_beams": (1,),
        "penalize_newline": (False,),
        "penalize_nl": (False,),
        "penalty_alpha": (0,),
        "penalty_last_n": (0,),
        "penalty_range": (0,),
        "quadratic_sampling": (0,),
        "rep_pen": (1,),
        "rep_pen_range": (),
        "rep_pen_slope": (),
        "repeat_last_n": (0,),
        "repeat_penalty": (1,),
        "repetition_penalty_range": (0,),
        "sampler_order": (),
        "sampler_priority": (),
        "samplers": (),
        "skew": (0,),
        "smoothing_curve": (1,),
        "smoothing_factor": (0,),
        "temperature_last": (),
        "tfs": (1,),
        "tfs_z": (1,),
        "token_healing": (False,),
        "top_a": (0,),
        "top_n_sigma": (-1, 0),
        "truncate": (),
        "typical": (1,),
        "typical_p": (1,),
        "watermark": (False,),
        "xtc_probability": (0,),
        "xtc_threshold": (),
    }
)
# Parameters of another sampler, which do nothing while that one is off.
_DEPENDS_ON: Mapping[str, str] = MappingProxyType(
    {
        "adaptive_decay": "adaptive_target",
        "dry_allowed_length": "dry_multiplier",
        "dry_base": "dry_multiplier",
        "dry_penalty_last_n": "dry_multiplier",
        "dry_range": "dry_multiplier",
        "dry_sequence_breakers": "dry_multiplier",
        "dynatemp_exponent": "dynatemp_range",
        "mirostat_eta": "mirostat",
        "mirostat_tau": "mirostat",
        "repeat_last_n": "repeat_penalty",
        "rep_pen_range": "rep_pen",
        "rep_pen_slope": "rep_pen",
        "xtc_threshold": "xtc_probability",
    }
)
# What to send instead, where the meaning is near.
_NEAR: Mapping[str, str] = MappingProxyType(
    {
        "rep_pen": "repetition_penalty counts the whole prompt and reply",
        "repeat_penalty": "repetition_penalty counts the whole prompt and reply",
    }
)


def is_switched_off(name: str, values: Mapping[str, Any]) -> bool:
    """Return whether the foreign field `name` of the object `values` changes nothing."""
    value = values[name]
    if value is None or any(_equals(value, off) for off in FOREIGN_SAMPLING[name]):
        return True
    switch = _DEPENDS_ON.get(name)
    return switch is not None and (switch not in values or is_switched_off(switch, values))


def explain_refusal(name: str) -> str:
    """Return why `name` is refused, and what comes near."""
    hint = f"; {_NEAR[name]}" if name in _NEAR else ""
    return f"{name}: this server cannot sample so; leave it out{hint}"


def _equals(value: Any, off: Any) -> bool:
    """Compare without taking True for 1."""
    return isinstance(value, bool) == isinstance(off, bool) and bool(value == off)
