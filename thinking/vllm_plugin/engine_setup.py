"""Adds the sampler to vLLM's configuration: processors, the model's markers, the grammars' gate.

The configuration is one that vLLM has made (``EngineArgs.create_engine_config``, vLLM 0.32), before
any process of an engine has been started with it. Does not know who serves the engine.
"""

from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.config import ModelConfig, StructuredOutputsConfig, VllmConfig
from vllm.platforms import current_platform

from thinking.markers.detection import MarkerOverrides, find_profile
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY
from thinking.vllm_plugin.reasoning_gate import GATE_MODULE, GATE_NAME


class UnsupportedOptionError(ValueError):
    """An option of the engine that budgets cannot be enforced with. The message names it."""


PROCESSOR = "thinking.vllm_plugin.{runner}:ThinkingLogitsProcessor"
NUCLEUS_PROCESSOR = "thinking.vllm_plugin.nucleus:NucleusLogitsProcessor"
PHASE_PROCESSOR = "thinking.vllm_plugin.phase_sampling:PhaseSamplingLogitsProcessor"


def add_processors(config: VllmConfig) -> None:
    """Register the logits processors for the model runner that vLLM will use."""
    runner = "v2" if config.use_v2_model_runner else "v1"
    own = [PROCESSOR.format(runner=runner)]
    if runner == "v1":  # the processor for V2 does it itself
        own.append(PHASE_PROCESSOR)
    if current_platform.is_cpu() and runner == "v1":
        own.append(NUCLEUS_PROCESSOR)
    given = config.model_config.logits_processors or []
    config.model_config.logits_processors = [*given, *own]


def start_grammars_at_answer(options: StructuredOutputsConfig) -> None:
    """Have vLLM ask the gate of a request when its grammar begins to hold."""
    options.reasoning_parser = GATE_NAME
    options.reasoning_parser_plugin = GATE_MODULE
    # With "auto" the first constraint determines the backend of all later ones.
    options.backend = "xgrammar"


def find_markers(
    model: ModelConfig, tokenizer: PreTrainedTokenizerBase, overrides: MarkerOverrides
) -> MarkerProfile:
    """Find the model's thinking markers.

    Raises:
        ProfileError: they cannot be found or used.
    """
    return find_profile(
        tokenizer,
        stop_token_ids=find_stop_token_ids(model, tokenizer),
        vocab_size=model.get_vocab_size(),
        overrides=overrides,
    )


def add_markers(config: VllmConfig, profile: MarkerProfile) -> None:
    """Add the model's thinking markers to the configuration for the workers.

    Raises:
        UnsupportedOptionError: ``additional_config`` is not a dictionary.
    """
    config.additional_config = {**get_additional_config(config), EXTRA_ARGS_KEY: profile.to_dict()}


def find_stop_token_ids(model: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids at which vLLM ends a reply, from the tokenizer and the generation config."""
    listed = model.try_get_generation_config().get("eos_token_id")
    ids = {listed} if isinstance(listed, int) else set(listed or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return tuple(sorted(ids))


def get_additional_config(config: VllmConfig) -> dict[str, Any]:
    """Return the configuration's further values, which vLLM passes to its workers.

    Raises:
        UnsupportedOptionError: they are an object, as vLLM also allows, without room for our key.
    """
    if not isinstance(config.additional_config, dict):
        raise UnsupportedOptionError("--additional-config must be a JSON object")
    return config.additional_config
