"""Rejects configurations of vLLM under which a budget would silently not be enforced.

Decides nothing else about an engine.
"""

from vllm.config import StructuredOutputsConfig, VllmConfig

from thinking.plan import EXTRA_ARGS_KEY
from thinking.vllm_plugin.engine_setup import UnsupportedOptionError, get_additional_config


def check_config(config: VllmConfig, *, allows_reasoning_parser: bool = False) -> None:
    """Reject options under which a budget would silently not be enforced.

    Pipeline and tensor parallelism work: the last rank samples and knows every token that it
    sampled. Asynchronous scheduling works too: the processor reads the sampled tokens just before
    sampling, when the runner has filled in the last one.

    Args:
        config: of the engine.
        allows_reasoning_parser: a parser of vLLM's own is for other requests than ours.

    Raises:
        UnsupportedOptionError: an option is not supported; the message names it.
    """
    if config.parallel_config.enable_batch_sharded_sampling:
        raise UnsupportedOptionError(
            "--enable-batch-sharded-sampling: a request's tokens would be spread over ranks "
            "that do not see each other's; omit this option"
        )
    if config.model_config.is_diffusion:
        raise UnsupportedOptionError(
            "--model: a diffusion model does not generate tokens one by one"
        )
    _check_speculation(config)
    if config.model_config.runner_type != "generate":
        raise UnsupportedOptionError("--runner: only models that generate text can be served")
    if not allows_reasoning_parser:
        _check_reasoning_parser(config.structured_outputs_config)
    _check_structured_outputs(config.structured_outputs_config)
    if EXTRA_ARGS_KEY in get_additional_config(config):
        raise UnsupportedOptionError(f"--additional-config: the key {EXTRA_ARGS_KEY!r} is reserved")


def _check_speculation(config: VllmConfig) -> None:
    """Reject speculative decoding where draft tokens would bypass the budget.

    Which runner will run, and which methods it knows, is vLLM's own decision.
    """
    speculative = config.speculative_config
    if speculative is None:
        return
    if not config.use_v2_model_runner:
        raise UnsupportedOptionError(
            f"--speculative-config: with method {speculative.method!r} vLLM runs its V1 runner "
            "here, which takes no logits processor beside draft tokens: they would bypass the "
            "thinking budget. Speculative decoding needs Model Runner V2: a GPU, and a method that "
            "it supports (such as ngram, eagle, eagle3, mtp, draft_model)"
        )
    if speculative.rejection_sample_method == "synthetic":
        raise UnsupportedOptionError(
            "--speculative-config: rejection_sample_method 'synthetic' accepts draft tokens by "
            "chance, also those that the thinking budget forbids; use 'standard' or 'block'"
        )


def _check_reasoning_parser(options: StructuredOutputsConfig) -> None:
    if options.reasoning_parser or options.reasoning_parser_plugin:
        raise UnsupportedOptionError(
            "--reasoning-parser: the server separates thoughts from answers itself; omit the option"
        )


def _check_structured_outputs(options: StructuredOutputsConfig) -> None:
    if options.enable_in_reasoning:
        raise UnsupportedOptionError(
            "--structured-outputs-config: enable_in_reasoning is not supported; only answers are "
            "constrained, not thoughts"
        )
    if options.backend not in ("auto", "xgrammar"):
        raise UnsupportedOptionError(
            "--structured-outputs-config: the backend must be xgrammar, because constraints are "
            "tried with it before they reach the engine"
        )
