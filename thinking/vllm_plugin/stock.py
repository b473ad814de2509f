"""Brings the sampler into a stock ``vllm serve``, without options: vLLM's plugin hook calls this.

vLLM calls :func:`set_up` (entry point group ``vllm.general_plugins``) in each of its processes, in
the first one before it makes its configuration, with which it starts the others. So the sampler is
added where the configuration is made (``EngineArgs.create_engine_config``, vLLM 0.32). A server
that adds it itself does so within :func:`adding_nothing`. Imports of vLLM, until its version has
been checked, only what every version has.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

import vllm
from vllm.logger import init_logger

if TYPE_CHECKING:
    from vllm.config import VllmConfig

VLLM_RELEASE = "0.32"  # whose insides this package knows; its patch releases keep them
_MARK = "adds_thinking_sampler"
_adds_nothing: ContextVar[bool] = ContextVar("adds_nothing", default=False)
# Under vLLM's own logger, the only one that a stock server shows.
logger = init_logger(f"vllm.{__name__}")


def set_up() -> None:
    """Have every engine of this process made with the sampler. Safe to call twice.

    Leaves another version of vLLM as it is: a front end finds out, and is not ready.
    """
    if not is_known_version(vllm.__version__):
        logger.error(
            "thinking-server's sampler is not in this engine: it is for vLLM %s, and this is %s",
            VLLM_RELEASE,
            vllm.__version__,
        )
        return
    if "vllm.v1.engine.core" in sys.modules:
        set_up_core()
    from vllm.engine.arg_utils import EngineArgs

    create: Callable[..., VllmConfig] = EngineArgs.create_engine_config
    if hasattr(create, _MARK):
        return

    @wraps(create)
    def create_with_sampler(args: EngineArgs, *positional: Any, **named: Any) -> "VllmConfig":
        config = create(args, *positional, **named)
        if not _adds_nothing.get() and config.model_config.runner_type == "generate":
            from thinking.vllm_plugin.stock_engine import add_sampler

            # The core may be this process, or a fork of it, in which vLLM loads no plugin again.
            set_up_core()
            add_sampler(config)
        return config

    setattr(create_with_sampler, _MARK, True)
    EngineArgs.create_engine_config = create_with_sampler


def is_known_version(version: str) -> bool:
    """Return whether `version` is of the release that this package is for."""
    return version == VLLM_RELEASE or version.startswith(f"{VLLM_RELEASE}.")


def set_up_core() -> None:
    """Prepare the process of an engine's core, which starts grammars and logs failed batches."""
    from thinking.vllm_plugin.begun_grammar import let_grammars_go_on
    from thinking.vllm_plugin.crash_masks import mask_crash_dumps
    from thinking.vllm_plugin.planned_grammar import keep_planned_grammars_apart

    mask_crash_dumps()
    keep_planned_grammars_apart()
    let_grammars_go_on()


@contextmanager
def adding_nothing() -> Iterator[None]:
    """Make configurations as vLLM alone does."""
    token = _adds_nothing.set(True)
    try:
        yield
    finally:
        _adds_nothing.reset(token)
