"""Implementation of the engine protocol with vLLM's ``AsyncLLM``.

Starts, monitors and stops vLLM, and translates its errors. Knows nothing of HTTP, text or how a
plan is made.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from types import MappingProxyType
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs import tokens_input
from vllm.platforms import current_platform
from vllm.sampling_params import SamplingParams
from vllm.v1.engine import exceptions as vllm_errors

from server.callers.context import cache_owner
from server.constraint.answer_constraint import AnswerConstraint
from server.engine.cpu import prefers_int8
from server.engine.grammar_check import GrammarCheck
from server.engine.protocol import (
    EngineLoad,
    EngineOutput,
    EnginePrompt,
    EngineRequest,
    InterruptedRequestError,
)
from server.engine.start_errors import EngineStartError, explain_shared_memory
from server.engine.tool_parsing import ToolParsing
from server.engine.vllm_images import get_max_images, to_engine_input, with_images
from server.engine.vllm_interruption import Interruptions
from server.engine.vllm_load import LoadReader
from server.engine.vllm_messages import (
    to_engine_output,
    to_grammar,
    to_sampling_params,
    to_structured_outputs,
)
from server.engine.vllm_options import (
    NUCLEUS_PROCESSOR,
    add_markers,
    get_tokenizer,
    make_config,
)
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
from server.tools.call_form import CallForm
from server.tools.reading import ToolCallReader
from server.tools.tool import Tool
from thinking.markers.profile import MarkerProfile
from thinking.vllm_plugin.reasoning_gate import gate_arguments

# vLLM detects a dead process immediately; its own server polls for it too.
DEATH_POLL_SECONDS = 0.25
# Time for the engine's processes to shut down in order, before they are killed.
SHUTDOWN_SECONDS = 5.0


class VllmEngine:
    """An :class:`~server.engine.protocol.Engine`. Created by :meth:`start` only."""

    def __init__(
        self,
        llm: UnreadKeepingLLM,
        profile: MarkerProfile,
        tool_parsing: ToolParsing,
        model_name: str,
        load_reader: LoadReader,
    ) -> None:
        self._llm = llm
        self._load_reader = load_reader
        self._profile = profile
        self._tool_parsing = tool_parsing
        self._model_name = model_name
        self._tokenizer = get_tokenizer(llm.vllm_config)
        self._max_images = get_max_images(llm)
        # Read once: vLLM reads a file for it. Empty with `--generation-config vllm`.
        self._default_sampling = MappingProxyType(dict(llm.model_config.get_diff_sampling_param()))
        processors = llm.model_config.logits_processors or ()
        self._limits_apart = NUCLEUS_PROCESSOR in processors
        self._has_given_up = False
        self._interruptions = Interruptions(llm)
        compact = llm.vllm_config.structured_outputs_config.disable_any_whitespace
        self._grammar_check = GrammarCheck(
            self._tokenizer, self.vocab_size, profile.stop_token_ids, any_whitespace=not compact
        )

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
        engine = await asyncio.to_thread(cls._start, options, settings, model_name)
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

    @classmethod
    def _start(
        cls, options: Mapping[str, Any], settings: ServerSettings, model_name: str
    ) -> "VllmEngine":
        config = make_config(options)
        profile = add_markers(config, settings)
        tool_parsing = ToolParsing(get_tokenizer(config), settings.tool_call_parser)
        load_reader = LoadReader()
        try:
            llm = UnreadKeepingLLM.from_vllm_config(
                config, stat_loggers=[load_reader.create_logger]
            )
        except Exception as error:  # any type; the cause is in the engine's log
            hint = explain_shared_memory()
            raise EngineStartError(f"the engine did not start: {error}{hint}") from error
        return cls(llm, profile, tool_parsing, model_name, load_reader)

    @property
    def model_name(self) -> str:
        return self._model_name

    @property
    def max_model_len(self) -> int:
        # vLLM may have shortened it at the start to fit the KV cache.
        return int(self._llm.model_config.max_model_len)

    @property
    def vocab_size(self) -> int:
        return int(self._llm.model_config.get_vocab_size())

    @property
    def max_logprobs(self) -> int:
        limit = int(self._llm.model_config.max_logprobs)
        return self.vocab_size if limit < 0 else limit

    @property
    def default_sampling(self) -> Mapping[str, float]:
        return self._default_sampling

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    @property
    def profile(self) -> MarkerProfile:
        return self._profile

    @property
    def max_images(self) -> int:
        return self._max_images

    @property
    def reads_tool_calls(self) -> bool:
        return self._tool_parsing.can_read

    def create_tool_call_reader(self, tools: Sequence[Tool]) -> ToolCallReader:
        """See :meth:`server.engine.protocol.Engine.create_tool_call_reader`."""
        return self._tool_parsing.create_reader(tools)

    def describe_calls(self, tools: Sequence[Tool], *, parallel: bool) -> CallForm:
        """See :meth:`server.engine.protocol.Engine.describe_calls`."""
        return self._tool_parsing.describe_calls(tools, parallel=parallel)

    @property
    def is_alive(self) -> bool:
        return not self._llm.errored

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

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        """See :meth:`server.engine.protocol.Engine.check_constraint`."""
        await self._grammar_check.check(constraint, to_grammar(constraint))
        # vLLM rejects some constraints that xgrammar accepts, but only after a stream has begun.
        # Its check is known to be fast at this point.
        await asyncio.to_thread(self._verify, constraint)

    def _verify(self, constraint: AnswerConstraint) -> None:
        config = self._llm.vllm_config
        params = SamplingParams(structured_outputs=to_structured_outputs(constraint))
        try:
            params.verify(
                config.model_config, None, config.structured_outputs_config, self._tokenizer
            )
        except (VLLMClientError, ValueError) as error:
            reason = "combines keywords that the engine cannot enforce together, or an unknown one"
            raise ConstraintError(constraint.field, reason) from error

    def _get_gate_arguments(self, request: EngineRequest) -> dict[str, Any] | None:
        return gate_arguments(self._profile, request.plan) if request.constraint else None

    async def wait_dead(self) -> None:
        """Wait until the engine has died."""
        while self.is_alive:  # noqa: ASYNC110 - vLLM has no event for it
            await asyncio.sleep(DEATH_POLL_SECONDS)

    async def close(self) -> None:
        """Stop the engine's processes. Safe to call twice, and on a dead engine."""
        if self._llm.output_handler is not None:
            # Otherwise it reports this shutdown as a failure.
            self._llm.output_handler.cancel()
        self._grammar_check.close()
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
