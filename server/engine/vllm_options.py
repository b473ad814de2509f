"""Builds vLLM's configuration from the operator's engine options and rejects unsupported ones.

Adds defaults for options that the operator has not set; explicit options always take precedence.
Knows vLLM's options but not requests.
"""

import os
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.config import StructuredOutputsConfig, VllmConfig
from vllm.config.kernel import IrOpPriorityConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext

from server.engine.cpu import choose_cpu_settings
from server.engine.process_hooks import set_up_process
from server.engine.start_errors import EngineConfigError
from server.engine.vllm_compiled_steps import describe_target
from server.engine.vllm_scheduler import set_scheduler
from server.settings.settings import ServerSettings
from thinking.markers.detection import MarkerOverrides, ProfileError, find_profile
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY
from thinking.vllm_plugin.reasoning_gate import GATE_MODULE, GATE_NAME

PROCESSOR = "thinking.vllm_plugin.{runner}:ThinkingLogitsProcessor"
NUCLEUS_PROCESSOR = "thinking.vllm_plugin.nucleus:NucleusLogitsProcessor"
PHASE_PROCESSOR = "thinking.vllm_plugin.phase_sampling:PhaseSamplingLogitsProcessor"
TARGET_KEY = "compiled_for"  # in ``additional_config``, which vLLM's key of what it compiles has
V2_RUNNER_VARIABLE = "VLLM_USE_V2_MODEL_RUNNER"


def make_config(given: Mapping[str, Any]) -> VllmConfig:
    """Create vLLM's configuration, without the thinking markers.

    Raises:
        EngineConfigError: vLLM or this server does not support the options.
    """
    options = dict(given)
    if current_platform.is_cpu():
        os.environ.setdefault(V2_RUNNER_VARIABLE, "0")  # V2 needs Triton; avoids a warning
        settings = choose_cpu_settings(given)
        settings.apply_environment()
        # An explicit dtype is an input of the choice, and is never changed by it.
        options = {**settings.options, **given}
        if options.get("dtype") == "auto":
            options["dtype"] = settings.options.get("dtype", "auto")
        _prefer_cpu_kernels(options)
    set_up_process()
    try:
        args = AsyncEngineArgs(**options)
        config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        # ValueError covers the errors of pydantic and vLLM; OSError: the model does not exist.
        raise EngineConfigError(f"the engine rejects its options: {error}") from error
    check_config(config)
    if current_platform.is_cpu() and not config.model_config.enforce_eager:
        config.additional_config = _get_additional_config(config) | {TARGET_KEY: describe_target()}
    _set_up_structured_outputs(config.structured_outputs_config, given)
    add_processor(config)
    set_scheduler(config)
    return config


def _prefer_cpu_kernels(options: dict[str, Any]) -> None:
    """Let the norms be computed by C++ kernels, unless a compiler fuses them."""
    from server.engine.vllm_cpu_kernels import NORM_PRIORITY, register_cpu_kernels

    named = {"ir_op_priority", "kernel_config"} & set(options)
    if options.get("enforce_eager") and not named and register_cpu_kernels():
        options["ir_op_priority"] = IrOpPriorityConfig(**NORM_PRIORITY)


def add_processor(config: VllmConfig) -> None:
    """Register the logits processors for the model runner that vLLM will use."""
    runner = "v2" if config.use_v2_model_runner else "v1"
    own = [PROCESSOR.format(runner=runner)]
    if runner == "v1":  # the processor for V2 does it itself
        own.append(PHASE_PROCESSOR)
    if current_platform.is_cpu() and runner == "v1":
        own.append(NUCLEUS_PROCESSOR)
    given = config.model_config.logits_processors or []
    config.model_config.logits_processors = [*given, *own]


def check_config(config: VllmConfig) -> None:
    """Reject options under which a budget would silently not be enforced.

    Pipeline and tensor parallelism work: the last rank samples and knows every token that it
    sampled. Asynchronous scheduling works too: the processor reads the sampled tokens just before
    sampling, when the runner has filled in the last one.

    Raises:
        EngineConfigError: an option is not supported; the message names it.
    """
    if config.parallel_config.enable_batch_sharded_sampling:
        raise EngineConfigError(
            "--enable-batch-sharded-sampling: a request's tokens would be spread over ranks "
            "that do not see each other's; omit this option"
        )
    if config.model_config.is_diffusion:
        raise EngineConfigError("--model: a diffusion model does not generate tokens one by one")
    _check_speculation(config)
    if config.model_config.runner_type != "generate":
        raise EngineConfigError("--runner: only models that generate text can be served")
    if config.model_config.skip_tokenizer_init:
        raise EngineConfigError("--skip-tokenizer-init: the server needs the tokenizer")
    _check_structured_outputs(config.structured_outputs_config)
    if EXTRA_ARGS_KEY in _get_additional_config(config):
        raise EngineConfigError(f"--additional-config: the key {EXTRA_ARGS_KEY!r} is reserved")


def _check_speculation(config: VllmConfig) -> None:
    """Reject speculative decoding where draft tokens would bypass the budget.

    Which runner will run, and which methods it knows, is vLLM's own decision.
    """
    speculative = config.speculative_config
    if speculative is None:
        return
    if not config.use_v2_model_runner:
        raise EngineConfigError(
            f"--speculative-config: with method {speculative.method!r} vLLM runs its V1 runner "
            "here, which takes no logits processor beside draft tokens: they would bypass the "
            "thinking budget. Speculative decoding needs Model Runner V2: a GPU, and a method that "
            "it supports (such as ngram, eagle, eagle3, mtp, draft_model)"
        )
    if speculative.rejection_sample_method == "synthetic":
        raise EngineConfigError(
            "--speculative-config: rejection_sample_method 'synthetic' accepts draft tokens by "
            "chance, also those that the thinking budget forbids; use 'standard' or 'block'"
        )


def _check_structured_outputs(options: StructuredOutputsConfig) -> None:
    if options.reasoning_parser or options.reasoning_parser_plugin:
        raise EngineConfigError(
            "--reasoning-parser: the server separates thoughts from answers itself; omit the option"
        )
    if options.enable_in_reasoning:
        raise EngineConfigError(
            "--structured-outputs-config: enable_in_reasoning is not supported; only answers are "
            "constrained, not thoughts"
        )
    if options.backend not in ("auto", "xgrammar"):
        raise EngineConfigError(
            "--structured-outputs-config: the backend must be xgrammar, because constraints are "
            "tried with it before they reach the engine"
        )


def _set_up_structured_outputs(options: StructuredOutputsConfig, given: Mapping[str, Any]) -> None:
    """Start vLLM's grammars at the answer, and keep small models from endless whitespace."""
    options.reasoning_parser = GATE_NAME
    options.reasoning_parser_plugin = GATE_MODULE
    # With "auto" the first constraint determines the backend of all later ones.
    options.backend = "xgrammar"
    if "structured_outputs_config" not in given:
        # If any whitespace is allowed, small models write line breaks up to the token limit.
        options.disable_any_whitespace = True


def get_tokenizer(config: VllmConfig) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer.

    Raises:
        EngineConfigError: it is not a Hugging Face tokenizer.
    """
    tokenizer = cached_tokenizer_from_config(config.model_config)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise EngineConfigError(
            f"--tokenizer-mode: {type(tokenizer).__name__} has no supported chat template"
        )
    return tokenizer


def find_stop_token_ids(config: VllmConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids at which vLLM ends a reply, from the tokenizer and the generation config."""
    listed = config.model_config.try_get_generation_config().get("eos_token_id")
    ids = {listed} if isinstance(listed, int) else set(listed or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return tuple(sorted(ids))


def add_markers(config: VllmConfig, settings: ServerSettings) -> MarkerProfile:
    """Find the model's thinking markers and add them to the configuration for the workers.

    Raises:
        EngineConfigError: the model's markers cannot be found or used.
    """
    tokenizer = get_tokenizer(config)
    try:
        profile = find_profile(
            tokenizer,
            stop_token_ids=find_stop_token_ids(config, tokenizer),
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
    config.additional_config = {**_get_additional_config(config), EXTRA_ARGS_KEY: profile.to_dict()}
    return profile


def _get_additional_config(config: VllmConfig) -> dict[str, Any]:
    # vLLM also allows an object here, but only a dictionary can hold our key.
    if not isinstance(config.additional_config, dict):
        raise EngineConfigError("--additional-config must be a JSON object")
    return config.additional_config
