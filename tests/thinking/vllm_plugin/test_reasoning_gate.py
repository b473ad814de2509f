"""The gate, called as vLLM calls it, compared with the tracker."""

from types import SimpleNamespace

import pytest

from tests.server.conftest import TOKENIZER, ids
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.markers.profile import MarkerProfile
from thinking.plan import make_plan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

pytest.importorskip("vllm")
pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import

PROMPT = [*ids("<|im_start|>user\nHow many?<|im_end|>\n<think>")]


@pytest.mark.parametrize("budget", [0, 5, 40, 90])
def test_the_grammar_starts_with_the_first_answer_token(
    profile: MarkerProfile, budget: int
) -> None:
    from thinking.vllm_plugin.reasoning_gate import ReasoningGate, gate_arguments

    plan = make_plan(profile, budget)
    tables = TrackerTables(profile, find_boundary_token_ids(TOKENIZER))
    tracker = ThinkingTracker(tables, plan)
    gate = ReasoningGate(TOKENIZER, **gate_arguments(profile, plan))
    tokens = list(PROMPT)
    assert gate.is_reasoning_end(PROMPT) == (not tracker.is_hidden)
    while tracker.is_hidden:
        forced = tracker.forced_token_id
        token = ids("x")[0] if forced is None else forced
        tracker.advance(token)
        tokens.append(token)
        assert gate.is_reasoning_end_streaming(tokens, [token]) == (not tracker.is_hidden)
    assert (len(tokens) > len(PROMPT)) == plan.thinks


@pytest.mark.parametrize("budget", [5, 40])
def test_a_rejected_draft_does_not_start_the_grammar(profile: MarkerProfile, budget: int) -> None:
    """vLLM's own search for the grammar's start, with drafts that end the thought or do not."""
    from vllm.v1.structured_output import StructuredOutputManager

    from thinking.vllm_plugin.reasoning_gate import ReasoningGate, gate_arguments

    plan = make_plan(profile, budget)
    tracker = ThinkingTracker(TrackerTables(profile, find_boundary_token_ids(TOKENIZER)), plan)
    reasoner = ReasoningGate(TOKENIZER, **gate_arguments(profile, plan))
    manager = StructuredOutputManager.__new__(StructuredOutputManager)
    manager.enable_in_reasoning = False
    manager.__dict__["_get_reasoner"] = lambda request: reasoner
    request = SimpleNamespace(
        prompt_token_ids=PROMPT,
        all_token_ids=list(PROMPT),
        structured_output_request=SimpleNamespace(reasoning_ended=None),
    )
    word, ending = ids("x")[0], [*profile.end_token_ids, *profile.lead_in_token_ids]
    while tracker.is_hidden:
        for draft in ([word] * 3, [*ending, word, word], [*ending]):
            bounds = manager._get_constraint_bounds(request, draft)
            assert bounds.constraint_start == count_hidden(tracker, draft), draft
        forced = tracker.forced_token_id
        token = word if forced is None else forced
        tracker.advance(token)
        request.all_token_ids.append(token)
        ended = manager._get_constraint_bounds(request, [token], True).constraint_start <= 1
        assert ended == (not tracker.is_hidden)


def count_hidden(tracker: ThinkingTracker, draft: list[int]) -> int:
    """Return the number of `draft`'s tokens before the answer, or one more than it has."""
    preview = tracker.copy()
    for place, token in enumerate(draft, 1):
        preview.advance(token)
        if not preview.is_hidden:
            return place
    return len(draft) + 1
