"""From the operator's engine options to vLLM's configuration, and what we refuse.

Fills in what the operator left open; what was given explicitly always wins. Knows
vLLM's options, not requests.
"""

import os
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.config import StructuredOutputsConfig, VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext

from server.engine.cpu import choose_cpu_settings
from server.engine.process_hooks import set_up_process
from server.engine.start_errors import EngineConfigError
from server.settings.settings import ServerSettings
from thinking.markers.detection import MarkerOverrides, ProfileError, find_profile
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY
from thinking.vllm_plugin.reasoning_gate import GATE_MODULE, GATE_NAME

PROCESSOR = "thinking.vllm_plugin.{runner}:ThinkingLogitsProcessor"
V2_RUNNER_VARIABLE = "VLLM_USE_V2_MODEL_RUNNER"


def make_config(given: Mapping[str, Any]) -> VllmConfig:
    """vLLM's configuration, without our markers yet.

    Raises:
        EngineConfigError: vLLM or we cannot serve what was asked for.
    """
    options = dict(given)
    if current_platform.is_cpu():
        os.environ.setdefault(V2_RUNNER_VARIABLE, "0")  # V2 needs Triton; do not warn of it
        settings = choose_cpu_settings(given)
        settings.apply_environment()
        # A dtype that was given goes into the choice, and comes out of it unchanged.
        options = {**settings.options, **given}
        if options.get("dtype") == "auto":
            options["dtype"] = settings.options.get("dtype", "auto")
    set_up_process()
    try:
        args = AsyncEngineArgs(**options)
        config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        # ValueError covers pydantic's and vLLM's own; OSError is a model that is not there.
        raise EngineConfigError(f"the engine refuses its options: {error}") from error
    check_config(config)
    _set_up_structured_outputs(config.structured_outputs_config, given)
    add_processor(config)
    return config


def add_processor(config: VllmConfig) -> None:
    """Load our sampler in the form that the runner which will really run takes."""
    runner = "v2" if config.use_v2_model_runner else "v1"
    given = config.model_config.logits_processors or []
    config.model_config.logits_processors = [*given, PROCESSOR.format(runner=runner)]


def check_config(config: VllmConfig) -> None:
    """Refuse what would break a budget silently.

    Pipeline and tensor parallelism are fine: the last rank samples, and knows every
    token it sampled. So is asynchronous scheduling: the processor reads sampled tokens
    just before sampling, when the runner has filled in the last one.

    Raises:
        EngineConfigError: naming the option.
    """
    if config.parallel_config.enable_batch_sharded_sampling:
        raise EngineConfigError(
            "--enable-batch-sharded-sampling: a request's tokens would be spread over ranks "
            "that do not see each other's; leave it out"
        )
    if config.model_config.is_diffusion:
        raise EngineConfigError("--model: a diffusion model writes no tokens one after the other")
    if config.speculative_config is not None:
        raise EngineConfigError(
            "--speculative-config: draft tokens would pass the thinking budget unseen; "
            "speculative decoding is not supported"
        )
    if config.model_config.runner_type != "generate":
        raise EngineConfigError("--runner: only models that generate text can be served")
    if config.model_config.skip_tokenizer_init:
        raise EngineConfigError("--skip-tokenizer-init: the server needs the tokenizer")
    _check_structured_outputs(config.structured_outputs_config)
    if EXTRA_ARGS_KEY in _additional(config):
        raise EngineConfigError(f"--additional-config: the key {EXTRA_ARGS_KEY!r} is the server's")


def _check_structured_outputs(options: StructuredOutputsConfig) -> None:
    if options.reasoning_parser or options.reasoning_parser_plugin:
        raise EngineConfigError(
            "--reasoning-parser: the server itself tells thought from answer; leave it out"
        )
    if options.enable_in_reasoning:
        raise EngineConfigError(
            "--structured-outputs-config: enable_in_reasoning would constrain the thought; only "
            "answers are constrained"
        )
    if options.backend not in ("auto", "xgrammar"):
        raise EngineConfigError(
            "--structured-outputs-config: the backend must be xgrammar, with which constraints "
            "are tried out before they reach the engine"
        )


def _set_up_structured_outputs(options: StructuredOutputsConfig, given: Mapping[str, Any]) -> None:
    """Let vLLM's grammars start where the answer does, and small models end their JSON."""
    options.reasoning_parser = GATE_NAME
    options.reasoning_parser_plugin = GATE_MODULE
    # With "auto" the engine's first constraint chooses the backend of all later ones.
    options.backend = "xgrammar"
    if "structured_outputs_config" not in given:
        # Where any white space is allowed, small models write line breaks up to the limit.
        options.disable_any_whitespace = True


def tokenizer_of(config: VllmConfig) -> PreTrainedTokenizerBase:
    """The model's tokenizer.

    Raises:
        EngineConfigError: it is not one of Hugging Face's kind.
    """
    tokenizer = cached_tokenizer_from_config(config.model_config)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise EngineConfigError(
            f"--tokenizer-mode: {type(tokenizer).__name__} has no chat template that we can read"
        )
    return tokenizer


def stop_token_ids(config: VllmConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every id at which vLLM will end a reply: the tokenizer's and the generation config's."""
    listed = config.model_config.try_get_generation_config().get("eos_token_id")
    ids = {listed} if isinstance(listed, int) else set(listed or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return tuple(sorted(ids))


def add_markers(config: VllmConfig, settings: ServerSettings) -> MarkerProfile:
    """Find the model's markers and hand them to the workers.

    Raises:
        EngineConfigError: the model's markers cannot be found or used.
    """
    tokenizer = tokenizer_of(config)
    try:
        profile = find_profile(
            tokenizer,
            stop_token_ids=stop_token_ids(config, tokenizer),
            vocab_size=config.model_config.get_vocab_size(),
            overrides=MarkerOverrides(
                start=settings.thinking_start,
                end=settings.thinking_end,
                primer=settings.thinking_primer,
                lead_in=settings.thinking_lead_in,
            ),
        )
    except ProfileError as error:
        raise EngineConfigError(str(error)) from error
    config.additional_config = {**_additional(config), EXTRA_ARGS_KEY: profile.to_dict()}
    return profile


def _additional(config: VllmConfig) -> dict[str, Any]:
    # vLLM also allows an object here; only a dictionary can carry our key.
    if not isinstance(config.additional_config, dict):
        raise EngineConfigError("--additional-config must be a JSON object")
    return config.additional_config
