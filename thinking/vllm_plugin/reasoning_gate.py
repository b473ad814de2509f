"""A vLLM reasoning parser that tells grammars when the answer starts.

Interface: ``vllm/reasoning/abs_reasoning_parsers.py``, vLLM 0.32. After each token vLLM calls
the parser to learn whether the grammar applies to the next one. Only a replay of the request's
plan can tell, since a hidden lead-in may follow the end marker. Loaded by name in the engine
core; profile and plan come with each request. Does not parse text: the server does that.
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
    """Return the arguments of a request's gate (``reasoning_parser_kwargs``; survives msgpack)."""
    return {"profile": profile.to_dict(), "plan": plan.to_dict()}


class PlannedGate(ReasoningParser):
    """The gate of one request with a grammar. vLLM's "reasoning" is every hidden token."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tables: TrackerTables,
        plan: ThinkingPlan,
        **rest: Any,
    ) -> None:
        super().__init__(tokenizer, **rest)
        self._start = AnswerStart(ThinkingTracker(tables, plan))
        self._num_prompt = 0

    def is_reasoning_end(self, input_ids: Sequence[int]) -> bool:
        """Return whether the answer starts with the first output token.

        vLLM calls this once, with the prompt.
        """
        self._num_prompt = len(input_ids)
        return self._start.has_begun(())

    def is_reasoning_end_streaming(
        self, input_ids: Sequence[int], delta_ids: Iterable[int]
    ) -> bool:
        """Return whether the token after `input_ids` (prompt and output) is part of the answer.

        `delta_ids` are the last of them: tokens that have just been accepted, or tokens of a draft
        (the scheduler does not say which), from one up to all of the draft.
        """
        num_new = len(delta_ids) if isinstance(delta_ids, Sequence) else len(list(delta_ids))
        return self._start.has_begun(input_ids, self._num_prompt, num_new)

    def extract_content_ids(self, input_ids: list[int]) -> list[int]:
        """Raise NotImplementedError: vLLM never calls this for a gate."""
        raise NotImplementedError


@ReasoningParserManager.register_module(GATE_NAME)
class ReasoningGate(PlannedGate):
    """A gate whose profile and plan come with the request, for an engine of our own server."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        profile: dict[str, Any],
        plan: dict[str, Any],
        **rest: Any,
    ) -> None:
        tables = _make_tables(tokenizer, MarkerProfile.from_dict(profile))
        super().__init__(tokenizer, tables, ThinkingPlan.from_dict(plan), **rest)


@lru_cache(maxsize=2)
def _make_tables(tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile) -> TrackerTables:
    return TrackerTables(profile, find_boundary_token_ids(tokenizer))
