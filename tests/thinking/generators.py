"""Hypothesis strategies: marker profiles, plans and token streams over a small vocabulary."""

from dataclasses import replace

from hypothesis import strategies as st

from thinking.gate import GateMode, SegmentRules
from thinking.loop_guard import LoopGuard
from thinking.markers.profile import MarkerProfile, Opening
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.tracker_state import TrackerTables

VOCAB_SIZE = 24
STOP_IDS = (0, 1)
STAND_IN_ID = 2
EXIT_ID = VOCAB_SIZE - 1
TOOL_CALL_ID = VOCAB_SIZE - 2
ORDINARY_IDS = range(3, TOOL_CALL_ID)
# Text of each token: one or two letters, so that strings end in many ways.
TOKEN_BYTES = {token_id: b"ab"[token_id % 2 :][:2] or b"b" for token_id in range(VOCAB_SIZE)}

# Few distinct tokens, so that markers overlap with themselves and with each other.
marker_ids = st.lists(st.integers(3, 7), min_size=1, max_size=8).map(tuple)
text_ids = st.lists(st.sampled_from(ORDINARY_IDS), max_size=6).map(tuple)
loop_guards = st.builds(
    LoopGuard,
    max_period=st.integers(1, 8),
    min_repeats=st.integers(2, 4),
    min_tokens=st.integers(1, 12),
)
# Half of the tokens come from a small set, so that thoughts do repeat themselves.
token_ids = st.sampled_from((5, 8, EXIT_ID)) | st.integers(0, VOCAB_SIZE - 1)
token_streams = st.lists(token_ids, max_size=120)


@st.composite
def profiles(draw: st.DrawFn) -> MarkerProfile:
    """A profile with markers of 1–8 tokens."""
    return MarkerProfile(
        name="drawn",
        start_token_ids=draw(marker_ids),
        end_token_ids=draw(marker_ids),
        opening=draw(st.sampled_from(Opening)),
        stop_token_ids=STOP_IDS,
        eos_stand_in_id=STAND_IN_ID,
        exit_stand_in_id=EXIT_ID,
        primer_token_ids=draw(text_ids),
        lead_in_token_ids=draw(text_ids),
        tool_call_token_ids=draw(st.sampled_from([(), (TOOL_CALL_ID,)])),
    )


@st.composite
def tables(draw: st.DrawFn) -> TrackerTables:
    """A profile with its boundary tokens."""
    boundaries = draw(st.frozensets(st.sampled_from(ORDINARY_IDS), max_size=4))
    return TrackerTables(draw(profiles()), boundaries)


@st.composite
def segment_rules(draw: st.DrawFn) -> SegmentRules:
    """Thoughts inside the answer, opened by any gate."""
    return SegmentRules(
        mode=draw(st.sampled_from([GateMode.ENTROPY, GateMode.EVERY, GateMode.AFTER])),
        threshold=draw(st.floats(0, 4)),
        interval=draw(st.integers(1, 6)),
        strings=draw(st.lists(st.sampled_from(["a", "ab", "b"]), max_size=3).map(tuple)),
        gap=draw(st.integers(1, 5)),
        max_segments=draw(st.integers(1, 4)),
        segment_tokens=draw(st.integers(4, 40)),
        grace_tokens=draw(st.integers(0, 5)),
        opening=draw(st.booleans()),
        share=draw(st.sampled_from([0.0, 0.25, 0.5, 0.9])),
        mix=draw(st.sampled_from([0.0, 0.25, 1.0])),
    )


@st.composite
def plans(draw: st.DrawFn, profile: MarkerProfile) -> ThinkingPlan:
    """A plan with a budget of 0–60 tokens and any rules."""
    rules = ThinkingRules(
        grace_tokens=draw(st.integers(0, 20)),
        min_tokens=draw(st.integers(0, 40)),
        early_exit=draw(st.none() | st.floats(0, 1)),
        loop_guard=draw(st.none() | loop_guards),
        wrap_up_token_ids=draw(text_ids),
        continuation_token_ids=draw(text_ids),
        segments=draw(st.none() | segment_rules()),
        max_tokens=draw(st.integers(1, 120)),
    )
    plan = make_plan(profile, draw(st.integers(0, 60)), rules)
    return replace(plan, calls_end_thoughts=draw(st.booleans()))
