"""Telling vLLM's grammars when the answer starts, as one of its reasoning parsers.

Interface: ``vllm/reasoning/abs_reasoning_parsers.py``, vLLM 0.32. vLLM asks a parser after
each token whether the grammar applies to the next one; only a replay of the request's plan
can tell, as a hidden lead-in may follow the end marker. Loaded by name in the engine core;
profile and plan come with each request. Parses no text: the server does that itself.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase
from vllm.reasoning import ReasoningParser, ReasoningParserManager

from thinking.answer_start import AnswerStart
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

GATE_NAME = "thinking_server"
GATE_MODULE = __name__


def gate_arguments(profile: MarkerProfile, plan: ThinkingPlan) -> dict[str, Any]:
    """What a request carries to its gate (``reasoning_parser_kwargs``; survives msgpack)."""
    return {"profile": profile.to_dict(), "plan": plan.to_dict()}


@ReasoningParserManager.register_module(GATE_NAME)
class ReasoningGate(ReasoningParser):
    """One per request with a grammar. vLLM's "reasoning" is all that we hide."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        profile: dict[str, Any],
        plan: dict[str, Any],
        **rest: Any,
    ) -> None:
        super().__init__(tokenizer, **rest)
        tables = _tables(tokenizer, MarkerProfile.from_dict(profile))
        self._start = AnswerStart(ThinkingTracker(tables, ThinkingPlan.from_dict(plan)))
        self._num_prompt = 0

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Whether the first output token is the answer's; vLLM asks once, with the prompt."""
        self._num_prompt = len(input_ids)
        return self._start.has_begun(())

    def is_reasoning_end_streaming(
        self, input_ids: Sequence[int], delta_ids: Iterable[int]
    ) -> bool:
        """Whether the token after `input_ids` (prompt and output) is the answer's."""
        return self._start.has_begun(input_ids, self._num_prompt)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Never asked of a gate."""
        raise NotImplementedError


@lru_cache(maxsize=2)
def _tables(tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile) -> TrackerTables:
    return TrackerTables(profile, find_boundary_token_ids(tokenizer))
