"""The gate, called as vLLM calls it, compared with the tracker."""

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
