"""Adds the sampler to the configuration of a stock engine, and remembers who the engine is.

The markers are the model's own, or those of the same environment variables as a front end's. A
model or an engine that cannot think is left as it is; an option under which a budget would not be
enforced ends the start. Leaves the options of vLLM's own requests alone.
"""

import os
from importlib.metadata import PackageNotFoundError, version

from transformers import PreTrainedTokenizerBase
from vllm.config import ModelConfig, VllmConfig
from vllm.logger import init_logger
from vllm.tokenizers import cached_tokenizer_from_config

from thinking.markers.detection import MarkerOverrides, ProfileError
from thinking.markers.profile import MarkerProfile
from thinking.vllm_plugin.engine_checks import check_config
from thinking.vllm_plugin.engine_setup import (
    UnsupportedOptionError,
    add_markers,
    add_processors,
    find_markers,
)
from thinking.vllm_plugin.identity import OwnEngine, identify

VARIABLE = "THINKING_SERVER_{field}"
DISTRIBUTIONS = ("thinking-server", "thinking-server-plugin")
logger = init_logger(f"vllm.{__name__}")


class NotThinkingError(ValueError):
    """The sampler cannot be added to this model."""


def add_sampler(config: VllmConfig) -> None:
    """Add all that budgets need to a configuration that vLLM has made.

    Raises:
        UnsupportedOptionError: an option that budgets cannot be enforced with, or markers of the
            environment that the model cannot use.
    """
    try:
        check_config(config, allows_reasoning_parser=True)
    except UnsupportedOptionError as error:
        hint = "or leave the plugin of thinking-server out (VLLM_PLUGINS)"
        raise UnsupportedOptionError(f"{error}; {hint}") from error
    _warn_of_two_versions()
    model = config.model_config
    skips_tokenizer = model.skip_tokenizer_init
    # With ``--tokens-only`` vLLM loads no tokenizer, without which it can compile no grammar.
    model.skip_tokenizer_init = False
    try:
        tokenizer, profile = _read_model(model)
    except NotThinkingError as error:
        # A front end finds out, and is not ready.
        model.skip_tokenizer_init = skips_tokenizer
        logger.error("thinking-server's sampler is not in this engine: %s", error)
        return
    add_markers(config, profile)
    add_processors(config)
    OwnEngine.identity = identify(model, tokenizer, profile)
    OwnEngine.vocab_size = model.get_vocab_size()
    logger.info("thinking-server's sampler is in this engine: markers %s", profile.name)


def read_marker_overrides() -> MarkerOverrides:
    """Return the markers that the environment sets, by the names of thinking-server's options."""
    return MarkerOverrides(
        start=os.environ.get(VARIABLE.format(field="THINKING_START")),
        end=os.environ.get(VARIABLE.format(field="THINKING_END")),
        primer=os.environ.get(VARIABLE.format(field="THINKING_PRIMER")),
        lead_in=os.environ.get(VARIABLE.format(field="THINKING_LEAD_IN")),
    )


def _read_model(model: ModelConfig) -> tuple[PreTrainedTokenizerBase, MarkerProfile]:
    """Return tokenizer and markers.

    Raises:
        NotThinkingError: there are none.
        UnsupportedOptionError: those of the environment cannot be used.
    """
    try:
        tokenizer = cached_tokenizer_from_config(model)
    except (OSError, ValueError) as error:
        raise NotThinkingError(f"the model's tokenizer cannot be loaded: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise NotThinkingError(f"{type(tokenizer).__name__} is no tokenizer of Hugging Face")
    overrides = read_marker_overrides()
    try:
        return tokenizer, find_markers(model, tokenizer, overrides)
    except ProfileError as error:
        if overrides == MarkerOverrides() or error.field is None:
            raise NotThinkingError(str(error)) from error
        problem = str(error).removeprefix(f"{error.field}: ")
        name = VARIABLE.format(field=error.field.upper())
        raise UnsupportedOptionError(f"{name}: {problem}") from error


def _warn_of_two_versions() -> None:
    """Log a warning where two distributions have written their files over each other's."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if len(set(found.values())) > 1:
        listed = " and ".join(f"{name} {release}" for name, release in found.items())
        logger.warning("%s are installed, with the same files: keep one of them", listed)
