"""Brings the sampler into a stock ``vllm serve``, without options: vLLM's plugin hook calls this.

vLLM calls :func:`set_up` (entry point group ``vllm.general_plugins``) before it makes its
configuration, and starts all processes of an engine with that configuration. So the sampler is
added where it is made (``EngineArgs.create_engine_config``, vLLM 0.32). A server that adds it
itself does so within :func:`adding_nothing`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from functools import wraps
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.config import VllmConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.logger import init_logger
from vllm.tokenizers import cached_tokenizer_from_config

from thinking.markers.detection import MarkerOverrides, ProfileError
from thinking.vllm_plugin.engine_checks import check_config
from thinking.vllm_plugin.engine_setup import (
    UnsupportedOptionError,
    add_markers,
    add_processors,
    find_markers,
    start_grammars_at_answer,
)
from thinking.vllm_plugin.identity import OwnIdentity, identify

_MARK = "adds_thinking_sampler"
_adds_nothing: ContextVar[bool] = ContextVar("adds_nothing", default=False)
# Under vLLM's own logger, the only one that a stock server shows.
logger = init_logger(f"vllm.{__name__}")


def set_up() -> None:
    """Have every engine of this process made with the sampler. Safe to call twice."""
    if "vllm.v1.engine.core" in sys.modules:
        set_up_core()
    create: Callable[..., VllmConfig] = EngineArgs.create_engine_config
    if hasattr(create, _MARK):
        return

    @wraps(create)
    def create_with_sampler(args: EngineArgs, *positional: Any, **named: Any) -> VllmConfig:
        config = create(args, *positional, **named)
        if not _adds_nothing.get() and config.model_config.runner_type == "generate":
            add_sampler(config)
        return config

    setattr(create_with_sampler, _MARK, True)
    EngineArgs.create_engine_config = create_with_sampler


def set_up_core() -> None:
    """Prepare the process of an engine's core, which starts grammars and logs failed batches."""
    from thinking.vllm_plugin.begun_grammar import let_grammars_go_on
    from thinking.vllm_plugin.crash_masks import mask_crash_dumps

    mask_crash_dumps()
    let_grammars_go_on()


@contextmanager
def adding_nothing() -> Iterator[None]:
    """Make configurations as vLLM alone does."""
    token = _adds_nothing.set(True)
    try:
        yield
    finally:
        _adds_nothing.reset(token)


def add_sampler(config: VllmConfig) -> None:
    """Add all that budgets need to a configuration that vLLM has made.

    Raises:
        UnsupportedOptionError: an option that budgets cannot be enforced with.
    """
    # With ``--tokens-only`` vLLM loads no tokenizer, without which it can compile no grammar.
    config.model_config.skip_tokenizer_init = False
    try:
        check_config(config)
    except UnsupportedOptionError as error:
        hint = "or leave the plugin of thinking-server out (VLLM_PLUGINS)"
        raise UnsupportedOptionError(f"{error}; {hint}") from error
    tokenizer = cached_tokenizer_from_config(config.model_config)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        logger.error(
            "thinking-server's sampler is not in this engine: %s is no tokenizer of Hugging Face",
            type(tokenizer).__name__,
        )
        return
    try:
        profile = find_markers(config.model_config, tokenizer, MarkerOverrides())
    except ProfileError as error:
        # A front end finds out, and is not ready.
        logger.error("thinking-server's sampler is not in this engine: %s", error)
        return
    add_markers(config, profile)
    add_processors(config)
    # A copy: vLLM's own endpoints read the other for themselves.
    outputs = config.structured_outputs_config = copy(config.structured_outputs_config)
    start_grammars_at_answer(outputs)
    # As our server's own engines: small models would write line breaks up to the token limit.
    outputs.disable_any_whitespace = True
    OwnIdentity.known = identify(config.model_config, tokenizer, profile)
    logger.info("thinking-server's sampler is in this engine: markers %s", profile.name)
