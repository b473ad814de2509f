"""Implementation of the engine protocol with vLLM's ``AsyncLLM``.

Starts, monitors and stops vLLM, and translates its errors. Knows nothing of HTTP, text or how a
plan is made.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs import tokens_input
from vllm.platforms import current_platform
from vllm.v1.engine import exceptions as vllm_errors

from server.callers.context import cache_owner
from server.constraint.answer_constraint import AnswerConstraint
from server.engine.cpu import prefers_int8
from server.engine.protocol import (
    EngineLoad,
    EngineOutput,
    EnginePrompt,
    EngineRequest,
    InterruptedRequestError,
)
from server.engine.start_errors import EngineStartError, explain_shared_memory
from server.engine.vllm_images import get_max_images, to_engine_input, with_images
from server.engine.vllm_interruption import Interruptions
from server.engine.vllm_load import LoadReader
from server.engine.vllm_messages import (
    to_engine_output,
    to_sampling_params,
)
from server.engine.vllm_model import VllmModel
from server.engine.vllm_options import make_config
from server.engine.vllm_unread import UnreadKeepingLLM
from server.errors.internal import (
    AbortedError,
    ConstraintError,
    EngineDeadError,
    EngineError,
    EngineRequestError,
    GivenUpError,
)
from server.settings.settings import ServerSettings
from thinking.vllm_plugin.engine_setup import NUCLEUS_PROCESSOR, add_markers
from thinking.vllm_plugin.reasoning_gate import gate_arguments

# vLLM detects a dead process immediately; its own server polls for it too.
DEATH_POLL_SECONDS = 0.25
# Time for the engine's processes to shut down in order, before they are killed.
SHUTDOWN_SECONDS = 5.0


class VllmEngine(VllmModel):
    """An :class:`~server.engine.protocol.Engine`. Created by :meth:`start` only."""

    def __init__(
        self, options: Mapping[str, Any], settings: ServerSettings, model_name: str
    ) -> None:
        config = make_config(options)
        super().__init__(
            config.model_config, config.structured_outputs_config, settings, model_name
        )
        add_markers(config, self.profile)
        self._load_reader = LoadReader()
        self._llm: UnreadKeepingLLM
        try:
            self._llm = UnreadKeepingLLM.from_vllm_config(
                config, stat_loggers=[self._load_reader.create_logger]
            )
        except Exception as error:  # any type; the cause is in the engine's log
            hint = explain_shared_memory()
            raise EngineStartError(f"the engine did not start: {error}{hint}") from error
        self._max_images = get_max_images(self._llm)
        self._limits_apart = NUCLEUS_PROCESSOR in (config.model_config.logits_processors or ())
        self._has_given_up = False
        self._interruptions = Interruptions(self._llm)

    @classmethod
    async def start(
        cls, options: Mapping[str, Any], settings: ServerSettings, model_name: str
    ) -> "VllmEngine":
        """Start vLLM with the engine options that were given explicitly.

        Does not block the event loop. Takes a minute, with the imports of three processes.

        Raises:
            EngineConfigError: the options are not supported.
            EngineStartError: vLLM failed to start.
        """
        engine = await asyncio.to_thread(cls, options, settings, model_name)
        # This also starts vLLM's reader of the engine's messages, so that the engine's death is
        # noticed even before the first request.
        await engine._llm.get_supported_tasks()
        return engine

    @staticmethod
    def prefers_int8(options: Mapping[str, Any]) -> bool:
        """Return whether 8-bit weights, if the model has them, are faster on this machine.

        Runs a probe for some seconds at the first time.
        """
        return bool(current_platform.is_cpu()) and prefers_int8(options)

    @property
    def max_model_len(self) -> int:
        # vLLM may have shortened it at the start to fit the KV cache.
        return int(self._llm.model_config.max_model_len)

    @property
    def max_images(self) -> int:
        return self._max_images

    @property
    def is_alive(self) -> bool:
        return not self._llm.errored

    @property
    def not_ready_reason(self) -> str | None:
        return None

    @property
    def num_running(self) -> int:
        return int(self._llm.get_num_unfinished_requests())

    @property
    def max_num_seqs(self) -> int:
        config = self._llm.vllm_config
        return int(config.scheduler_config.max_num_seqs * config.parallel_config.data_parallel_size)

    @property
    def load(self) -> EngineLoad:
        # An idle engine makes no step that would update the statistics.
        return self._load_reader.sum_load() if self.num_running else EngineLoad()

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """See :meth:`server.engine.protocol.Engine.generate`."""
        if self._has_given_up:
            raise GivenUpError("given up")
        request_id, interruptions = request.request_id, self._interruptions
        with (
            _translate_errors(),
            self._llm.keep_unread(request),
            interruptions.watch(request_id),
        ):
            outputs = self._llm.generate(
                _to_input(request),
                to_sampling_params(request, limits_apart=self._limits_apart),
                request_id,
                reasoning_parser_kwargs=self._get_gate_arguments(request),
            )
            # Closing vLLM's generator aborts the request.
            async with aclosing(outputs):
                async for output in outputs:
                    _check_kept(output.outputs[0].finish_reason, request.constraint)
                    if interruptions.too_early and request_id in interruptions.too_early:
                        first = to_engine_output(output, request)
                        if first.finish_reason is None:
                            raise InterruptedRequestError(first, first.token_ids)
                    try:
                        converted = to_engine_output(output, request)
                    except AbortedError:
                        written = interruptions.get_written(request_id)
                        if written is None:
                            raise
                        output.outputs[0].finish_reason = None
                        last = to_engine_output(output, request)
                        raise InterruptedRequestError(last, written) from None
                    yield converted

    async def interrupt(self, request_id: str) -> None:
        """See :meth:`server.engine.protocol.Engine.interrupt`."""
        await self._interruptions.interrupt(request_id)

    def take_unread(self, request_id: str) -> Sequence[int]:
        """See :meth:`server.engine.protocol.Engine.take_unread`."""
        return self._llm.take_unread(request_id)

    def give_up(self) -> None:
        """See :meth:`server.engine.protocol.Engine.give_up`."""
        self._has_given_up = True
        self._llm.output_processor.propagate_error(GivenUpError("given up"))

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """See :meth:`server.engine.protocol.Engine.with_images`."""
        with _translate_errors():
            return await with_images(self._llm, token_ids, images)

    def _get_gate_arguments(self, request: EngineRequest) -> dict[str, Any] | None:
        return gate_arguments(self.profile, request.plan) if request.constraint else None

    async def wait_dead(self) -> None:
        """Wait until the engine has died."""
        while self.is_alive:  # noqa: ASYNC110 - vLLM has no event for it
            await asyncio.sleep(DEATH_POLL_SECONDS)

    async def close(self) -> None:
        """Stop the engine's processes. Safe to call twice, and on a dead engine."""
        if self._llm.output_handler is not None:
            # Otherwise it reports this shutdown as a failure.
            self._llm.output_handler.cancel()
        self.close_model()
        await asyncio.to_thread(self._llm.shutdown, SHUTDOWN_SECONDS)


def _to_input(request: EngineRequest) -> Any:
    salt = cache_owner.get()
    if request.images is not None:
        return to_engine_input(request.images, request.prompt_token_ids, salt)
    return tokens_input(list(request.prompt_token_ids), cache_salt=salt)


def _check_kept(finish_reason: str | None, constraint: AnswerConstraint | None) -> None:
    """Raise ConstraintError if no token was left that the grammar allows.

    vLLM then ends the request with the finish reason "error".
    """
    if finish_reason == "error" and constraint is not None:
        raise ConstraintError(constraint.field, "the answer could not be held to it")


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate vLLM's errors to ours. The only place that does."""
    try:
        yield
    except vllm_errors.EngineDeadError as error:
        raise EngineDeadError("the engine has died") from error
    except EngineError:
        raise
    except (VLLMClientError, ValueError) as error:
        raise EngineRequestError(str(error)) from error
    except GracefulHTTPError as error:
        raise EngineError(str(error)) from error
    except vllm_errors.EngineGenerateError as error:
        if isinstance(error.__cause__, EngineError):
            raise error.__cause__ from None  # our own error, passed through vLLM's output queue
        # vLLM wraps the errors of its input validation; only those are ValueErrors.
        if isinstance(error.__cause__, ValueError):
            raise EngineRequestError(str(error.__cause__)) from error
        raise EngineError("the engine failed on this request") from error
