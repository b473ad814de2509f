"""Builds vLLM's configuration from the operator's engine options and rejects unsupported ones.

Adds defaults for options that the operator has not set; explicit options always take precedence.
Knows vLLM's options but not requests.
"""

import os
from collections.abc import Mapping
from typing import Any

from vllm.config import StructuredOutputsConfig, VllmConfig
from vllm.config.kernel import IrOpPriorityConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext

from server.engine.cpu import choose_cpu_settings
from server.engine.process_hooks import set_up_process
from server.engine.start_errors import EngineConfigError
from server.engine.vllm_compiled_steps import describe_target
from server.engine.vllm_scheduler import set_scheduler
from thinking.vllm_plugin import engine_setup, stock
from thinking.vllm_plugin.engine_checks import check_config
from thinking.vllm_plugin.engine_setup import UnsupportedOptionError, get_additional_config

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
        with stock.adding_nothing():
            config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        # ValueError covers the errors of pydantic and vLLM; OSError: the model does not exist.
        raise EngineConfigError(f"the engine rejects its options: {error}") from error
    try:
        check_config(config)
        additional = get_additional_config(config)
    except UnsupportedOptionError as error:
        raise EngineConfigError(str(error)) from error
    if config.model_config.skip_tokenizer_init:
        raise EngineConfigError("--skip-tokenizer-init: the server needs the tokenizer")
    if current_platform.is_cpu() and not config.model_config.enforce_eager:
        config.additional_config = additional | {TARGET_KEY: describe_target()}
    _set_up_structured_outputs(config.structured_outputs_config, given)
    engine_setup.add_processors(config)
    set_scheduler(config)
    return config


def _prefer_cpu_kernels(options: dict[str, Any]) -> None:
    """Let the norms be computed by C++ kernels, unless a compiler fuses them."""
    from server.engine.vllm_cpu_kernels import NORM_PRIORITY, register_cpu_kernels

    named = {"ir_op_priority", "kernel_config"} & set(options)
    if options.get("enforce_eager") and not named and register_cpu_kernels():
        options["ir_op_priority"] = IrOpPriorityConfig(**NORM_PRIORITY)


def _set_up_structured_outputs(options: StructuredOutputsConfig, given: Mapping[str, Any]) -> None:
    """Start vLLM's grammars at the answer, and keep small models from endless whitespace."""
    engine_setup.start_grammars_at_answer(options)
    if "structured_outputs_config" not in given:
        # If any whitespace is allowed, small models write line breaks up to the token limit.
        options.disable_any_whitespace = True
