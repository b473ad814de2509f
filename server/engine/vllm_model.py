"""A model as the API process knows it, wherever it runs: tokenizer, markers, limits, constraints.

From vLLM's configuration of it; starts no engine. The implementations of the engine protocol that
run vLLM begin with it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from transformers import PreTrainedTokenizerBase
from vllm.config import ModelConfig, StructuredOutputsConfig
from vllm.exceptions import VLLMClientError
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config

from server.constraint.answer_constraint import AnswerConstraint
from server.engine.grammar_check import GrammarCheck
from server.engine.start_errors import EngineConfigError
from server.engine.tool_parsing import ToolParsing
from server.engine.vllm_messages import to_grammar, to_structured_outputs
from server.errors.internal import ConstraintError
from server.settings.settings import ServerSettings
from server.tools.call_form import CallForm
from server.tools.reading import ToolCallReader
from server.tools.tool import Tool
from thinking.markers.detection import MarkerOverrides, ProfileError
from thinking.markers.profile import MarkerProfile
from thinking.vllm_plugin.engine_setup import find_markers


class VllmModel:
    """The part of an :class:`~server.engine.protocol.Engine` that needs no engine.

    Raises:
        EngineConfigError: the model's tokenizer or markers cannot be used, or the parser of its
            tool calls is unknown.
    """

    def __init__(
        self,
        config: ModelConfig,
        outputs: StructuredOutputsConfig,
        settings: ServerSettings,
        model_name: str,
    ) -> None:
        self._config = config
        self._outputs = outputs
        self._model_name = model_name
        self._tokenizer = _get_tokenizer(config)
        self._profile = _find_profile(config, self._tokenizer, settings)
        self._tool_parsing = ToolParsing(self._tokenizer, settings.tool_call_parser)
        # Read once: vLLM reads a file for it. Empty with `--generation-config vllm`.
        self._default_sampling = MappingProxyType(dict(config.get_diff_sampling_param()))
        self._grammar_check = GrammarCheck(
            self._tokenizer,
            self.vocab_size,
            self._profile.stop_token_ids,
            any_whitespace=not outputs.disable_any_whitespace,
        )

    @property
    def model_name(self) -> str:
        return self._model_name

    @property
    def vocab_size(self) -> int:
        return int(self._config.get_vocab_size())

    @property
    def max_logprobs(self) -> int:
        limit = int(self._config.max_logprobs)
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
    def reads_tool_calls(self) -> bool:
        return self._tool_parsing.can_read

    def create_tool_call_reader(self, tools: Sequence[Tool]) -> ToolCallReader:
        """See :meth:`server.engine.protocol.Engine.create_tool_call_reader`."""
        return self._tool_parsing.create_reader(tools)

    def describe_calls(self, tools: Sequence[Tool], *, parallel: bool) -> CallForm:
        """See :meth:`server.engine.protocol.Engine.describe_calls`."""
        return self._tool_parsing.describe_calls(tools, parallel=parallel)

    async def check_constraint(self, constraint: AnswerConstraint) -> None:
        """See :meth:`server.engine.protocol.Engine.check_constraint`."""
        await self._grammar_check.check(constraint, to_grammar(constraint))
        # vLLM rejects some constraints that xgrammar accepts, but only after a stream has begun.
        # Its check is known to be fast at this point.
        await asyncio.to_thread(self._verify, constraint)

    def _verify(self, constraint: AnswerConstraint) -> None:
        params = SamplingParams(structured_outputs=to_structured_outputs(constraint))
        try:
            params.verify(self._config, None, self._outputs, self._tokenizer)
        except (VLLMClientError, ValueError) as error:
            reason = "combines keywords that the engine cannot enforce together, or an unknown one"
            raise ConstraintError(constraint.field, reason) from error

    def close_model(self) -> None:
        """End the process that tries constraints."""
        self._grammar_check.close()


def _get_tokenizer(config: ModelConfig) -> PreTrainedTokenizerBase:
    tokenizer = cached_tokenizer_from_config(config)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise EngineConfigError(
            f"--tokenizer-mode: {type(tokenizer).__name__} has no supported chat template"
        )
    return tokenizer


def _find_profile(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase, settings: ServerSettings
) -> MarkerProfile:
    overrides = MarkerOverrides(
        start=settings.thinking_start,
        end=settings.thinking_end,
        primer=settings.thinking_primer,
        lead_in=settings.thinking_lead_in,
    )
    try:
        return find_markers(config, tokenizer, overrides)
    except ProfileError as error:
        raise EngineConfigError(str(error)) from error
